// Package mysql is the MySQL and MariaDB source: a snapshot of the captured tables, then their changes from the binlog, as the
// reference's MySqlConnector and MariaDbConnector have them. keys.go, config.go and validate.go are its configuration; types.go
// and table.go say how tables become streams; row.go and text.go turn values into cells; schema.go and history.go
// keep what the tables look like at a place in the binlog; source.go, snapshot.go and stream.go read.
package mysql
