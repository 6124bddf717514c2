package pvesim

// poolRoutes are the endpoints of pools.
func poolRoutes() routes {
	return routes{
		"GET /pools":             {serve: listPools},
		"POST /pools":            {serve: createPool},
		"PUT /pools":             {serve: putPool},
		"DELETE /pools":          {serve: deletePool},
		"GET /pools/{poolid}":    {serve: getPool},
		"PUT /pools/{poolid}":    {serve: putPool},
		"DELETE /pools/{poolid}": {serve: deletePool},
	}
}
