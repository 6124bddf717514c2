package pvesim

// cephRoutes are the endpoints of Ceph, which no node has: each looks for a binary first.
func cephRoutes() routes {
	return routes{
		"DELETE /nodes/{node}/ceph/mds/{name}":        {serve: withoutCeph("ceph-mon")},
		"DELETE /nodes/{node}/ceph/mgr/{id}":          {serve: withoutCeph("ceph-mon")},
		"DELETE /nodes/{node}/ceph/mon/{monid}":       {serve: withoutCeph("ceph-mon")},
		"DELETE /nodes/{node}/ceph/osd/{osdid}":       {serve: withoutCeph("ceph-mon")},
		"DELETE /nodes/{node}/ceph/pool/{name}":       {serve: withoutCeph("ceph-mon")},
		"GET /cluster/ceph":                           {serve: index("name")},
		"GET /cluster/ceph/flags":                     {serve: withoutCeph("ceph-mon")},
		"GET /cluster/ceph/flags/{flag}":              {serve: withoutCeph("ceph-mon")},
		"GET /cluster/ceph/metadata":                  {serve: withoutCeph("ceph-mon")},
		"GET /cluster/ceph/status":                    {serve: withoutCeph("ceph-mon")},
		"GET /nodes/{node}/ceph":                      {serve: index("name")},
		"GET /nodes/{node}/ceph/cfg":                  {serve: index("name")},
		"GET /nodes/{node}/ceph/cfg/db":               {serve: withoutCeph("ceph-mon")},
		"GET /nodes/{node}/ceph/cfg/raw":              {serve: withoutCeph("ceph-mon")},
		"GET /nodes/{node}/ceph/cfg/value":            {serve: withoutCeph("ceph-mon")},
		"GET /nodes/{node}/ceph/cmd-safety":           {serve: withoutCeph("ceph-mon")},
		"GET /nodes/{node}/ceph/crush":                {serve: withoutCeph("ceph-mon")},
		"GET /nodes/{node}/ceph/fs":                   {serve: withoutCeph("ceph-mon")},
		"GET /nodes/{node}/ceph/log":                  {serve: withoutCeph("ceph-mon")},
		"GET /nodes/{node}/ceph/mds":                  {serve: withoutCeph("ceph-mon")},
		"GET /nodes/{node}/ceph/mgr":                  {serve: withoutCeph("ceph-mon")},
		"GET /nodes/{node}/ceph/mon":                  {serve: withoutCeph("ceph-mon")},
		"GET /nodes/{node}/ceph/osd":                  {serve: withoutCeph("ceph-mon")},
		"GET /nodes/{node}/ceph/osd/{osdid}":          {serve: index("name")},
		"GET /nodes/{node}/ceph/osd/{osdid}/lv-info":  {serve: withoutCeph("ceph-mon")},
		"GET /nodes/{node}/ceph/osd/{osdid}/metadata": {serve: withoutCeph("ceph-mon")},
		"GET /nodes/{node}/ceph/pool":                 {serve: withoutCeph("ceph-mon")},
		"GET /nodes/{node}/ceph/pool/{name}":          {serve: index("name")},
		"GET /nodes/{node}/ceph/pool/{name}/status":   {serve: withoutCeph("ceph-mon")},
		"GET /nodes/{node}/ceph/rules":                {serve: withoutCeph("ceph-mon")},
		"GET /nodes/{node}/ceph/status":               {serve: withoutCeph("ceph-mon")},
		"POST /nodes/{node}/ceph/fs/{name}":           {serve: withoutCeph("ceph-mon")},
		"POST /nodes/{node}/ceph/init":                {serve: withoutCeph("ceph")},
		"POST /nodes/{node}/ceph/mds/{name}":          {serve: withoutCeph("ceph-mds")},
		"POST /nodes/{node}/ceph/mgr/{id}":            {serve: withoutCeph("ceph-mgr")},
		"POST /nodes/{node}/ceph/mon/{monid}":         {serve: withoutCeph("ceph-mon")},
		"POST /nodes/{node}/ceph/osd":                 {serve: withoutCeph("ceph-mon")},
		"POST /nodes/{node}/ceph/osd/{osdid}/in":      {serve: withoutCeph("ceph-mon")},
		"POST /nodes/{node}/ceph/osd/{osdid}/out":     {serve: withoutCeph("ceph-mon")},
		"POST /nodes/{node}/ceph/osd/{osdid}/scrub":   {serve: withoutCeph("ceph-mon")},
		"POST /nodes/{node}/ceph/pool":                {serve: withoutCeph("ceph-mon")},
		"POST /nodes/{node}/ceph/restart":             {serve: withoutCeph("ceph-mon")},
		"POST /nodes/{node}/ceph/start":               {serve: withoutCeph("ceph-mon")},
		"POST /nodes/{node}/ceph/stop":                {serve: withoutCeph("ceph-mon")},
		"PUT /cluster/ceph/flags":                     {serve: withoutCeph("ceph-mon")},
		"PUT /cluster/ceph/flags/{flag}":              {serve: withoutCeph("ceph-mon")},
		"PUT /nodes/{node}/ceph/pool/{name}":          {serve: withoutCeph("ceph-mon")},
	}
}

// withoutCeph refuses as a node does that lacks a binary of Ceph.
func withoutCeph(binary string) handler {
	return func(*call) (any, error) { return nil, die("binary not installed: /usr/bin/%s", binary) }
}
