package pvesim

// clusterRoutes are the endpoints of the cluster as a whole.
func clusterRoutes() routes {
	return routes{
		"GET /cluster":                         {serve: index("name")},
		"GET /cluster/acme/account":            {serve: listNothing},
		"GET /cluster/ceph/status":             {serve: noCeph},
		"GET /cluster/firewall":                {serve: index("name")},
		"GET /cluster/firewall/aliases":        {serve: listNothing},
		"GET /cluster/firewall/ipset":          {serve: listNothing},
		"GET /cluster/firewall/options":        {serve: getFirewallOptions},
		"GET /cluster/firewall/refs":           {serve: listNothing},
		"GET /cluster/jobs":                    {serve: index("subdir")},
		"GET /cluster/jobs/schedule-analyze":   {serve: analyzeSchedule},
		"GET /cluster/log":                     {serve: getClusterLog},
		"GET /cluster/mapping":                 {serve: index("name")},
		"GET /cluster/metrics":                 {serve: index("name")},
		"GET /cluster/metrics/export":          {serve: exportMetrics},
		"GET /cluster/metrics/server":          {serve: listNothing},
		"GET /cluster/nextid":                  {serve: getNextID},
		"GET /cluster/options":                 {serve: getOptions},
		"GET /cluster/resources":               {serve: getResources},
		"GET /cluster/sdn":                     {serve: index("id")},
		"GET /cluster/sdn/ipams/{ipam}/status": {serve: listLeases},
		"GET /cluster/sdn/vnets":               {serve: listNothing},
		"GET /cluster/sdn/zones":               {serve: listNothing},
		"GET /cluster/status":                  {serve: getClusterStatus},
		"GET /version":                         {serve: getVersion},
	}
}
