package changes

import (
	"strings"

	"github.com/freshet-io/freshet/connectors"
)

// reselectKeys are the keys of a post-processor, which begin with the name that post.processors gives it.
func reselectKeys() []connectors.Key {
	key := func(name string, typ connectors.ValueType, doc string) connectors.Key {
		return connectors.Key{Name: name, Type: typ, Suffix: true, Own: true, Importance: "LOW", Doc: doc}
	}
	flag := func(name, doc string) connectors.Key {
		k := key(name, connectors.TypeBoolean, doc)
		return k
	}
	class := key(".type", connectors.TypeClass, "Class of a post-processor: "+ReselectClass+".")
	class.Check = func(v string) string {
		if strings.TrimSpace(v) != ReselectClass {
			return "not supported yet: there is " + ReselectClass
		}
		return ""
	}
	mode := key(".reselect.error.handling.mode", connectors.TypeString, "When a row is gone or cannot be read: warn passes the event on as it is; fail stops the connector.")
	mode.Recommended, mode.Closed = []string{"warn", "fail"}, true
	cache := flag(".reselect.cache.enabled", "Keep values that were read again.")
	cache.Default, cache.Unsupported = "false", "values are read when they are needed"
	store := key(".reselect.cache.type", connectors.TypeClass, "Class of the cache.")
	store.Unsupported = "classes of the JVM"
	return []connectors.Key{
		class, mode, cache, store,
		key(".reselect.columns.include.list", connectors.TypeString, "Regular expressions of the columns that are read again, as table:column; all when not given."),
		key(".reselect.columns.exclude.list", connectors.TypeString, "Regular expressions of the columns that are not."),
		flag(".reselect.unavailable.values", "Read values again that were not sent."),
		flag(".reselect.null.values", "Read values again that are NULL."),
		flag(".reselect.use.event.key", "Find rows by the event's key; else by the primary key."),
	}
}
