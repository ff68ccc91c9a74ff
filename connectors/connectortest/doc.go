// Package connectortest runs the checks of package conformance as subtests: RunSource and RunSink. Three fakes are the other side: Feed,
// a source whose partitions come and go; Target, a sink that acknowledges late, out of order, and rejects single records; Loopback,
// which turns every batch into bytes and back. Shipped code never imports it.
package connectortest
