// Package lenient decodes answers of Proxmox products, which write a number as a number or as
// a string from one version to the next, leave fields out, and add new ones. An [Opt] is a
// value that may be absent; [Extra] keeps what a type does not name.
//
// The other names are for packages that describe an API: a type there decodes itself with
// [Decode] and encodes itself with [Encode], and long lists are cut into parts by those that
// scan JSON.
package lenient
