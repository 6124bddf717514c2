package pvesim

// Guesses say what is made up in the answers of endpoints of which neither a recording nor
// PVE's source tells all, by endpoint. Figures such as loads and sizes are made up everywhere.
func Guesses() map[string]string {
	const smartctl, zpool, skopeo = "the words of smartctl", "the words of zpool status", "the words of skopeo, and what images hold"
	const fabric, frr = "the words of what is refused", "how the routing daemon sees its neighbors"
	const acme = "what the certificate authority answers"
	return map[string]string{
		"GET /nodes/{node}/disks/smart":                             smartctl,
		"GET /nodes/{node}/disks/zfs":                               zpool,
		"GET /nodes/{node}/disks/zfs/{name}":                        zpool,
		"GET /nodes/{node}/journal":                                 "all lines but those about tasks",
		"GET /nodes/{node}/query-oci-repo-tags":                     skopeo,
		"POST /nodes/{node}/storage/{storage}/oci-registry-pull":    skopeo,
		"POST /nodes/{node}/aplinfo":                                "the lines of the download",
		"POST /nodes/{node}/status":                                 "how long it takes",
		"GET /nodes/{node}/replication/{id}/log":                    "the lines of the last run",
		"GET /nodes/{node}/storage/{storage}/file-restore/list":     "the files, their sizes and times",
		"GET /nodes/{node}/storage/{storage}/file-restore/download": "the content of files",
		"GET /nodes/{node}/storage/{storage}/identity":              "the id of a backup server",
		"GET /nodes/{node}/qemu/{vmid}/agent/get-memory-block-info": "the size of a block",
		"POST /nodes/{node}/qemu/{vmid}/agent/suspend-ram":          "when the system wakes",
		"POST /nodes/{node}/services/{service}/reload":              "the words of systemctl",
		"POST /nodes/{node}/services/{service}/restart":             "the words of systemctl",
		"POST /nodes/{node}/services/{service}/start":               "the words of systemctl",
		"POST /nodes/{node}/services/{service}/stop":                "the words of systemctl",
		"POST /cluster/ha/resources/{sid}/migrate":                  "how long a move takes",
		"POST /cluster/ha/resources/{sid}/relocate":                 "how long a move takes",
		"POST /access/domains/{realm}/sync":                         "why a directory cannot be reached",
		"POST /cluster/sdn/fabrics/fabric":                          fabric,
		"PUT /cluster/sdn/fabrics/fabric/{id}":                      fabric,
		"DELETE /cluster/sdn/fabrics/fabric/{id}":                   fabric,
		"POST /cluster/sdn/fabrics/node/{fabric_id}":                fabric,
		"PUT /cluster/sdn/fabrics/node/{fabric_id}/{node_id}":       fabric,
		"DELETE /cluster/sdn/fabrics/node/{fabric_id}/{node_id}":    fabric,
		"GET /nodes/{node}/sdn/fabrics/{fabric}/interfaces":         frr,
		"GET /nodes/{node}/sdn/fabrics/{fabric}/neighbors":          frr,
		"GET /nodes/{node}/sdn/fabrics/{fabric}/routes":             frr,
		"POST /nodes/{node}/certificates/acme/certificate":          acme,
		"PUT /nodes/{node}/certificates/acme/certificate":           acme,
		"DELETE /nodes/{node}/certificates/acme/certificate":        acme,
		"GET /cluster/acme/challenge-schema":                        "which services there are",
	}
}
