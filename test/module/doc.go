// Package module takes the checkout as others get it: as a module from a proxy, from
// which the program is installed and whose packages are imported, and as a repository
// that gets another owner.
package module
