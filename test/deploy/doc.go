// Package deploy checks what is in the folder deploy: that the programs which read those
// files accept them, and that they promise no more than the server keeps.
package deploy
