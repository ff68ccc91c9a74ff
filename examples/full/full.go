// Package full is the example of one connector that feeds three kinds of targets; `freshet demo full` runs it.
package full

import _ "embed" // the connector's file

// Connector is bets.json: a Postgres database into ClickHouse, Elasticsearch and TimescaleDB.
//
//go:embed bets.json
var Connector []byte
