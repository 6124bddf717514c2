package pve

import "context"

// Version is the version of the node that answered.
type Version struct {
	Version string `json:"version"` // such as 8.4.21
	Release string `json:"release"` // such as 8.4
	RepoID  string `json:"repoid"`
	Extra   Extra  `json:"-"`
}

// UnmarshalJSON keeps unknown fields in Extra.
func (v *Version) UnmarshalJSON(data []byte) error { return decodeObject(data, v, &v.Extra) }

// MarshalJSON writes what was read.
func (v Version) MarshalJSON() ([]byte, error) { return encodeObject(v, v.Extra) }

// Version asks for the version of the endpoint. Every token may.
func (c *Client) Version(ctx context.Context) (Version, error) {
	return get[Version](ctx, c, join("version"), nil)
}
