package golden

import "context"

// Server is a database server that scenarios play on: OnPostgres, OnMySQL. Nothing else may use it meanwhile.
type Server interface {
	// create makes an empty database of this name, as on a new server.
	create(ctx context.Context, database string) error
	// drop removes the database and what connectors have left for it.
	drop(ctx context.Context, database string) error
	// token is the length of what begins at i in a text of SQL: a quoted text, a comment, or one byte.
	token(text string, i int) (int, error)
	// run runs statements in a session of their own.
	run(ctx context.Context, database string, statements []statement) error
	// settings are the connector's settings that depend on the server; history is the topic of a schema history.
	settings(prefix, database, bootstrap, history string) map[string]string
	// streaming reports whether a connector reads the database's log.
	streaming(ctx context.Context, database string) (bool, error)
}
