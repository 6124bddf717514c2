// Package lenient decodes answers of Proxmox products, which write a number as a number or as
// a string from one version to the next, leave fields out, and add new ones. An [Opt] is a
// value that may be absent; [Extra] keeps what a type does not name.
//
// The functions are for packages that describe an API: a type there decodes itself with
// [Decode] and encodes itself with [Encode], and [DecodeValue] decodes what is one value.
package lenient
