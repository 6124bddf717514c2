package pvesim

// backupRoutes are the endpoints of backups and their jobs.
func backupRoutes() routes {
	return routes{
		"GET /cluster/backup":                       {serve: listJobs},
		"POST /cluster/backup":                      {serve: createJob, check: checkJob},
		"GET /cluster/backup-info/not-backed-up":    {serve: listNotBackedUp},
		"GET /cluster/backup/{id}":                  {serve: getJob},
		"PUT /cluster/backup/{id}":                  {serve: putJob, check: checkJob},
		"DELETE /cluster/backup/{id}":               {serve: deleteJob},
		"GET /cluster/backup/{id}/included_volumes": {serve: includedVolumes},
		"POST /nodes/{node}/vzdump":                 {serve: startBackups, check: checkVZDump},
		"GET /nodes/{node}/vzdump/defaults":         {serve: vzdumpDefaults},
		"GET /nodes/{node}/vzdump/extractconfig":    {serve: extractConfig},
	}
}
