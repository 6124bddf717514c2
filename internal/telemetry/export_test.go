package telemetry

import "net/http"

// FullURL is the URL of a request to PVE that a trace has.
func FullURL(req *http.Request) string {
	for _, attr := range attributesOf(req) {
		if attr.Key == "url.full" {
			return attr.Value.AsString()
		}
	}
	return ""
}
