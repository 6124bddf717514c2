package pvesim_test

import "testing"

// Each type of storage has options of its own. Some are needed, some are chosen once.
func TestStorageOptions(t *testing.T) {
	onBoth(t, `
		POST /storage?storage=a1&type=dir                                => 500 missing value for required option 'path'
		POST /storage?storage=a1&type=dir&path=a/b                       => 400 Parameter verification failed. path: invalid format - value does not look like a valid absolute path
		POST /storage?storage=a1&type=dir&path=/mnt/a%20b                => 500 illegal path for directory storage: /mnt/a b
		POST /storage?storage=a1&type=dir&path=/a&server=10.0.0.1        => 500 unexpected property 'server'
		POST /storage?storage=a1&type=nfs&server=10.0.0.1                => 500 missing value for required option 'export'
		POST /storage?storage=a1&type=nfs&server=10.0.0.1&export=/x&shared=1  => 500 unexpected property 'shared'
		POST /storage?storage=a1&type=dir&path=/a&content=none,iso       => 500 unable to combine 'none' with other content types
		POST /storage?storage=a1&type=zfspool&pool=tank&content=iso      => 500 storage does not support content type 'none'
		POST /storage?storage=a1&type=zfspool&pool=tank&content=iso,images  => map[storage:a1 type:zfspool]
		GET /storage/a1#content                                          => images
		PUT /storage/a1?pool=other                                       => 500 update storage failed: can't change value of fixed parameter 'pool'
		PUT /storage/a1?delete=pool                                      => 500 update storage failed: unable to delete required option 'pool'
		PUT /storage/a1?delete=path                                      => 500 update storage failed: no such option 'path'
		PUT /storage/a1?digest=abc&sparse=1                              => 500 update storage failed: detected modified configuration - file changed by other user? Try again.
		PUT /storage/a1?sparse=1&delete=sparse                           => 500 update storage failed: cannot set and delete property 'sparse' at the same time!
		PUT /storage/a1?nodes=nosuch                                     => map[storage:a1 type:zfspool]
		PUT /storage/nosuch?sparse=1                                     => 500 update storage failed: storage 'nosuch' does not exist
		GET /storage/nosuch                                              => 500 storage 'nosuch' does not exist
		POST /storage?storage=v1&type=lvm&vgname=vg0&base=nfs:100/x.raw  => map[storage:v1 type:lvm]
		PUT /storage/v1?delete=base                                      => 500 update storage failed: unable to delete fixed option 'base'
	`)
}

// What a backup job cannot be is refused before its lock in one form, and under it in another.
func TestBackupJobRefusals(t *testing.T) {
	onBoth(t, `
		POST /cluster/backup?vmid=100&schedule=daily&starttime=01:00     => 400 Parameter verification failed. starttime: 'starttime' and 'schedule' cannot both be set
		POST /cluster/backup?vmid=100&schedule=daily&pool=nosuch         => 403 Permission check failed (pool 'nosuch' does not exist)
		POST /cluster/backup?vmid=100&schedule=daily&pool=web            => 500 400 Parameter verification failed.
		POST /cluster/backup?vmid=100&schedule=daily&storage=nfs&notes-template={{x}}  => 500 400 Parameter verification failed.
		POST /cluster/backup?vmid=100&schedule=daily&script=/bin/x       => 400 Parameter verification failed. script: Only root may set this option.
		POST /cluster/backup?id=one&vmid=100&schedule=daily&storage=nfs  => null
		POST /cluster/backup?id=one&vmid=100&schedule=daily              => 500 Job 'one' already exists
		PUT /cluster/backup/one                                          => 500 no options specified
		PUT /cluster/backup/one?starttime=01:00&schedule=daily           => 400 Parameter verification failed. starttime: 'starttime' and 'schedule' cannot both be set
		PUT /cluster/backup/one?delete=banana                            => 500 400 Parameter verification failed.
		PUT /cluster/backup/one?delete=vmid                              => 500 400 Parameter verification failed.
		GET /cluster/backup/nosuch/included_volumes                      => 400 Parameter verification failed. id: No such job 'nosuch'
	`)
}

// So is what a backup cannot be.
func TestBackupRefusals(t *testing.T) {
	onBoth(t, `
		POST /nodes/pve1/vzdump?vmid=100&stdout=1                        => 400 Parameter verification failed. stdout: option is only allowed on the command line interface.
		POST /nodes/pve1/vzdump?vmid=100&storage=nfs&notes-template={{guest}}        => 400 Parameter verification failed. notes-template: found unknown: variable 'guest' at char 4
		POST /nodes/pve1/vzdump?vmid=100&storage=nfs&notes-template=a%5Ctb           => 400 Parameter verification failed. notes-template: found unknown: escape sequence '\t' at char 1
		POST /nodes/pve1/vzdump?vmid=100&exclude=101                     => 400 Parameter verification failed. exclude: option conflicts with option 'vmid'
		POST /nodes/pve1/vzdump?vmid=100&compress=rar                    => 400 Parameter verification failed. compress: value 'rar' does not have a value in the enumeration '0, 1, gzip, lzo, zstd'
		as ops@pve!mcp
		POST /nodes/pve1/vzdump?stop=1                                   => 403 Permission check failed (/nodes/pve1, Sys.Modify)
	`)
}

// The lock on the users makes text of what is refused under it.
func TestGrantsThatAreRefused(t *testing.T) {
	onBoth(t, `
		PUT /access/acl?path=/vms/104&roles=PVEVMAdmin&users=none@pve&propagate=1  => null
		PUT /access/acl?path=/vms/104&roles=PVEVMAdmin&tokens=none@pve!mcp  => null
		PUT /access/acl?path=/vms&roles=PVEAuditor&users=eve@pve&groups=nosuch  => 500 ACL update failed: group 'nosuch' does not exist
		PUT /access/acl?path=/vms&roles=PVEAuditor&tokens=none@pve!nosuch   => 500 ACL update failed: no such token 'nosuch' for user 'none@pve'
		as none@pve!mcp
		PUT /access/acl?path=/vms/104&roles=PVEVMUser&users=audit@pve    => null
		PUT /access/acl?path=/vms/104&roles=Administrator&users=audit@pve   => 500 ACL update failed: 400 Parameter verification failed.
		PUT /access/acl?path=/vms/104&roles=NoAccess&users=audit@pve     => 500 ACL update failed: 400 Parameter verification failed.
	`)
}
