package pvesim

// storageRoutes are the endpoints of storages and volumes.
func storageRoutes() routes {
	return routes{
		"GET /nodes/{node}/storage":                                 {serve: listNodeStorages},
		"GET /nodes/{node}/storage/{storage}":                       {serve: index("subdir")},
		"GET /nodes/{node}/storage/{storage}/content":               {serve: listContent},
		"POST /nodes/{node}/storage/{storage}/content":              {serve: allocateVolume},
		"GET /nodes/{node}/storage/{storage}/content/{volume}":      {serve: getVolume},
		"PUT /nodes/{node}/storage/{storage}/content/{volume}":      {serve: putVolume, check: checkReadVolume},
		"DELETE /nodes/{node}/storage/{storage}/content/{volume}":   {serve: deleteVolume, check: checkDeleteVolume},
		"POST /nodes/{node}/storage/{storage}/download-url":         {serve: downloadURL},
		"GET /nodes/{node}/storage/{storage}/file-restore/list":     {serve: listFileRestore},
		"GET /nodes/{node}/storage/{storage}/file-restore/download": {serve: downloadFileRestore},
		"GET /nodes/{node}/storage/{storage}/identity":              {serve: getIdentity},
		"GET /nodes/{node}/storage/{storage}/import-metadata":       {serve: getImportMetadata},
		"POST /nodes/{node}/storage/{storage}/oci-registry-pull":    {serve: pullOCI},
		"GET /nodes/{node}/storage/{storage}/prunebackups":          {serve: previewPrune},
		"DELETE /nodes/{node}/storage/{storage}/prunebackups":       {serve: pruneBackups, check: checkPrune},
		"GET /nodes/{node}/storage/{storage}/rrddata":               {serve: getStorageRRD},
		"GET /nodes/{node}/storage/{storage}/status":                {serve: getStorageStatus},
		"POST /nodes/{node}/storage/{storage}/upload":               {serve: uploadFile},
		"GET /storage":              {serve: listStorages},
		"POST /storage":             {serve: createStorage},
		"GET /storage/{storage}":    {serve: getStorage},
		"PUT /storage/{storage}":    {serve: putStorage},
		"DELETE /storage/{storage}": {serve: deleteStorage},
	}
}
