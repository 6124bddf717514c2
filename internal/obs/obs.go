// Package obs lets the operator of a process see what it does: logs whose lines say to
// which request they belong, traces, and the names under which requests to PVE are
// counted.
package obs
