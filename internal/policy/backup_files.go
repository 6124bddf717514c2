package policy

import "strings"

// RefuseBackupFiles returns why files in backups of guests must not be listed or read, or "".
// Where a path in a backup leads is not known, so that no pattern can allow some of them.
func (p Policy) RefuseBackupFiles() string {
	if p.LimitsFiles() {
		return "a backup has every file of its guest, and PVE_MCP_EXEC_ALLOW or PVE_MCP_FILES_ALLOW limits which are used"
	}
	return ""
}

// refuseBackupFile returns why a request must not look into a backup, or "".
func (p Policy) refuseBackupFile(e row) string {
	if strings.Contains(e.path, "/file-restore/") {
		return p.RefuseBackupFiles()
	}
	return ""
}
