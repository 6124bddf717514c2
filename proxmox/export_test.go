package proxmox

// NewTransportOver is NewTransport over connections that a test makes.
var NewTransportOver = newTransport
