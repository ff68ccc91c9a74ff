package mysql

import (
	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/schemas"
)

// mariadbOnly maps the types that only MariaDB has.
func (m mapper) mariadbOnly(base string, optional bool) (shape, bool) {
	switch base {
	case "UUID":
		return shape{schemas.TypeUUID, opUUID, connectors.Field{Schema: changes.Logical(schemas.String, changes.NameUUID, optional)}}, true
	case "INET4":
		return shape{schemas.TypeOther, opInet4, connectors.Field{Schema: changes.Plain(schemas.String, optional)}}, true
	case "INET6":
		return shape{schemas.TypeOther, opInet6, connectors.Field{Schema: changes.Plain(schemas.String, optional)}}, true
	}
	return shape{}, false
}
