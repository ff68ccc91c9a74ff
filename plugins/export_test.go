package plugins

// What a plugin that is written by hand needs.
var Handshake = handshake

const Service = service
