// Package guestexec is what the tools share that act inside of guests: the console of a
// container, by which commands are run in it.
package guestexec
