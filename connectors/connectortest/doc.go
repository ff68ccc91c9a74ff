// Package connectortest proves that a connector keeps the contract: RunSource and RunSink are conformance suites for sources
// and sinks. Three fakes are the other side: Feed, a source whose partitions come and go; Target, a sink that acknowledges late,
// out of order, and rejects single records; Loopback, which turns every batch into bytes and back. Shipped code never imports it.
package connectortest
