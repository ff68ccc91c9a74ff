package postgres

import (
	"fmt"

	"github.com/freshet-io/freshet/connectors"
)

// classify gives a server error the class that its SQLSTATE asks for, and says what an operator can do.
func (t *source) classify(err error) error {
	if connectors.ClassOf(err) != connectors.Retriable {
		return err
	}
	hint, permanent := remedy(sqlState(err), t.cfg)
	if !permanent {
		return err
	}
	if hint != "" {
		err = fmt.Errorf("%w; %s", err, hint)
	}
	return connectors.AsPermanent(err)
}

func (t *source) classifyClass(err error) connectors.Class {
	return connectors.ClassOf(t.classify(err))
}

// remedy tells whether a SQLSTATE is beyond trying again, and what to do about it (PostgreSQL, Appendix A, error codes).
func remedy(state string, cfg *config) (hint string, permanent bool) {
	if len(state) != 5 {
		return "", false
	}
	switch state {
	case "28000":
		return fmt.Sprintf("check that user %s may log in and has the REPLICATION attribute, and that pg_hba.conf allows it", cfg.user), true
	case "28P01":
		return fmt.Sprintf("check database.password of user %s", cfg.user), true
	case "25006":
		return "the server is a standby, where nothing can be created: make the publication on the primary and set publication.autocreate.mode=disabled", true
	case "3D000":
		return fmt.Sprintf("check database.dbname: %s", cfg.database), true
	case "42501":
		return fmt.Sprintf("grant user %s what it lacks", cfg.user), true
	case "42704":
		return fmt.Sprintf("check that slot %s and publication %s exist; a publication must be older than the changes that are read from the slot", cfg.slot, cfg.publication), true
	case "55000":
		return fmt.Sprintf("look at slot %s in pg_replication_slots", cfg.slot), true
	case "58P01":
		return fmt.Sprintf("the log that slot %s needs is gone: drop the slot and take a new snapshot (snapshot.mode=when_needed does both)", cfg.slot), true
	}
	switch state[:2] {
	case "28", "42", "0A", "22", "3F":
		return "", true
	}
	return "", false
}
