//go:build !poison

package connectors

const poisoned = false

func poison(*Batch) {}
