package config

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/pve-mcp/pve-mcp/internal/files"
)

// Log are the settings of the log, which is that of the program; the record of changes is
// AuditLog.
type Log struct {
	Level slog.Level
	JSON  bool       // or text
	File  files.Name // besides stderr, the zero value for none
}

func parseLevel(v string) (slog.Level, error) {
	switch strings.ToLower(v) {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("%s is neither debug nor info nor warn nor error", quoted(v))
}

func parseFormat(v string) (json bool, err error) {
	switch strings.ToLower(v) {
	case "text":
		return false, nil
	case "json":
		return true, nil
	}
	return false, fmt.Errorf("%s is neither text nor json", quoted(v))
}
