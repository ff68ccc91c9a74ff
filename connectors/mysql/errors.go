package mysql

import (
	"errors"
	"fmt"

	library "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/freshet-io/freshet/connectors"
)

// classify gives an error of the server the class that its code asks for, and says what an operator can do.
func (t *source) classify(err error) error {
	if connectors.ClassOf(err) != connectors.Retriable {
		return err
	}
	var answer *library.MyError
	if !errors.As(err, &answer) {
		return err
	}
	hint, permanent := remedy(answer.Code, t.cfg)
	if !permanent {
		return err
	}
	if hint != "" {
		err = fmt.Errorf("%w; %s", err, hint)
	}
	return connectors.AsPermanent(err)
}

func (t *source) class(err error) connectors.Class { return connectors.ClassOf(t.classify(err)) }

// remedy tells whether an error code is beyond trying again, and what to do about it (MySQL, Server Error Message Reference).
func remedy(code uint16, cfg *config) (hint string, permanent bool) {
	switch code {
	case library.ER_MASTER_FATAL_ERROR_READING_BINLOG: // 1236: purged, not found, corrupt, too large a packet, same id
		return "the server cannot send its binlog from this position: when its files are gone, take a new snapshot (start once with snapshot.mode=when_needed); " +
			"when another replica has the same id, give this connector a database.server.id of its own", true
	case library.ER_ACCESS_DENIED_ERROR, library.ER_DBACCESS_DENIED_ERROR, library.ER_SPECIFIC_ACCESS_DENIED_ERROR:
		return fmt.Sprintf("grant user %s what it lacks (REPLICATION SLAVE and REPLICATION CLIENT for the binlog, SELECT for the snapshot)", cfg.user), true
	case library.ER_PARSE_ERROR, library.ER_UNKNOWN_SYSTEM_VARIABLE, library.ER_NO_SUCH_TABLE, library.ER_BAD_DB_ERROR, library.ER_BAD_FIELD_ERROR,
		library.ER_NO_BINARY_LOGGING, library.ER_SLAVE_MUST_STOP, library.ER_MALFORMED_GTID_SET_SPECIFICATION:
		return "", true
	}
	return "", false
}
