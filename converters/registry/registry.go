package registry

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/riferrei/srclient"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
)

// PluginVersion is the version of these converters as Kafka Connect shows it: Confluent's have none.
const PluginVersion = "undefined"

const (
	maxFailed    = 1000             // ids and schemas that the registry refused, remembered for as long as failedFor
	failedFor    = 10 * time.Second // so that a record that cannot be converted does not cost a request each time
	maxReferred  = 100              // schemas that one schema may use, directly or not
	maxTextBytes = 64 << 20         // of schemas kept by a Cache
)

// Registry finds ids and schemas. It belongs to one task and is not safe for concurrent use. Errors are those of the registry
// (permanent) or a *converters.Unavailable.
type Registry struct {
	client   *client
	naming   [2]naming // of values and of keys
	register bool
	newest   bool
	strict   bool
	room     int
	ids      map[identity]Schema
	failed   map[any]failure // by identity or id
	now      func() time.Time
}

type identity struct {
	subject string
	text    [sha256.Size]byte
}

type failure struct {
	err   error
	until time.Time
}

// New makes it from a converter's keys.
func New(v connectors.Values, c connectors.Config) (*Registry, error) {
	api, err := newClient(v, c)
	if err != nil {
		return nil, err
	}
	r := &Registry{
		client: api, register: v.Bool(keyRegister), newest: v.Bool(keyLatest), strict: v.Bool(keyStrict), room: max(1, int(v.Int(keyPerSubject))),
		ids: map[identity]Schema{}, failed: map[any]failure{}, now: time.Now,
	}
	r.naming[0], _ = strategyOf(v.String(keyValSubject))
	r.naming[1], _ = strategyOf(v.String(keyKeySubject))
	return r, nil
}

// Within sets what ends a wait for the registry.
func (r *Registry) Within(ctx context.Context) { r.client.ctx = ctx }

// Subject names the subject of a topic's keys or values; record is the full name of a record's schema, "" for another type.
func (r *Registry) Subject(topic, record string, key bool) (string, error) {
	if key {
		return r.naming[1].subject(topic, record, true)
	}
	return r.naming[0].subject(topic, record, false)
}

// ID returns the schema under which records are written, with its id: s itself, registered when that is configured, or the newest
// version of its subject.
func (r *Registry) ID(subject string, s Schema, reads func(newest Schema) error) (Schema, error) {
	key := identity{subject, sha256.Sum256([]byte(s.Text))}
	if known, ok := r.ids[key]; ok {
		return known, nil
	}
	if err := r.refused(key); err != nil {
		return Schema{}, err
	}
	out, err := r.find(subject, s, reads)
	if err != nil {
		r.remember(key, err)
		return Schema{}, err
	}
	if len(r.ids) >= r.room {
		clear(r.ids)
	}
	r.ids[key] = out
	return out, nil
}

func (r *Registry) find(subject string, s Schema, reads func(newest Schema) error) (Schema, error) {
	switch {
	case r.register:
		out, err := r.client.register(subject, s)
		if err != nil {
			return Schema{}, explain(subject, err)
		}
		s.ID = out.ID
		return s, nil
	case r.newest:
		out, err := r.client.latest(subject)
		if err != nil {
			return Schema{}, explain(subject, err)
		}
		if out.Type != s.Type {
			return Schema{}, fmt.Errorf("use the newest version of subject %s: it is a schema of type %s", subject, string(out.Type))
		}
		if r.strict && out.Text != s.Text {
			if err := reads(out); err != nil {
				return Schema{}, fmt.Errorf("use the newest version of subject %s: it cannot read what the records' own schema writes (%w): register a newer version, or set latest.compatibility.strict=false", subject, err)
			}
		}
		return out, nil
	}
	out, err := r.client.lookup(subject, s)
	if err != nil {
		return Schema{}, explain(subject, err)
	}
	s.ID = out.ID
	return s, nil
}

// Get returns the schema with an id, for a decoder that keeps what it makes of it.
func (r *Registry) Get(id int) (Schema, error) {
	if err := r.refused(id); err != nil {
		return Schema{}, err
	}
	s, err := r.client.byID(id)
	if err != nil {
		r.remember(id, err)
		return Schema{}, err
	}
	s.ID = id
	return s, nil
}

// Version returns the number that a schema has under a subject; 0 when it is not registered there.
func (r *Registry) Version(subject string, s Schema) (int, error) {
	out, err := r.client.lookup(subject, s)
	if c := code(err); c == 40401 || c == 40403 || c == 404 {
		return 0, nil
	}
	return out.Version, err
}

// Referred returns the schemas that s uses, each after those that it uses itself, by the names of the references.
func (r *Registry) Referred(s Schema) ([]Named, error) {
	var out []Named
	err := r.referred(s, map[string]bool{}, &out)
	return out, err
}

// Named is a schema by the name under which another one uses it.
type Named struct {
	Name string
	Schema
}

func (r *Registry) referred(s Schema, seen map[string]bool, out *[]Named) error {
	for _, ref := range s.References {
		if seen[ref.Name] {
			continue
		}
		seen[ref.Name] = true
		if len(seen) > maxReferred {
			return fmt.Errorf("read the references of a schema: there are more than %d", maxReferred)
		}
		used, err := r.client.version(ref.Subject, ref.Version)
		if err != nil {
			return err
		}
		if err := r.referred(used, seen, out); err != nil {
			return err
		}
		*out = append(*out, Named{ref.Name, used})
	}
	return nil
}

func (r *Registry) refused(key any) error {
	f, ok := r.failed[key]
	if !ok || r.now().After(f.until) {
		delete(r.failed, key)
		return nil
	}
	return f.err
}

func (r *Registry) remember(key any, err error) {
	if errors.As(err, new(*converters.Unavailable)) {
		return
	}
	if len(r.failed) >= maxFailed {
		clear(r.failed)
	}
	r.failed[key] = failure{err, r.now().Add(failedFor)}
}

// explain says what a registry's refusal means, and what to do.
func explain(subject string, err error) error {
	var answer srclient.Error
	if !errors.As(err, &answer) {
		return err
	}
	switch {
	case answer.Code == 409:
		return fmt.Errorf("%w: the schema is not compatible with what subject %s has. Make the change compatible (a new column needs a default or must allow NULL; "+
			"a column that goes or changes its type may break readers), or allow it: set the compatibility of the subject (PUT /config/%s) to NONE until it is registered", err, subject, subject)
	case answer.Code == 422 || answer.Code/100 == 422:
		return fmt.Errorf("%w: the registry does not take this schema for valid", err)
	case answer.Code == 401 || answer.Code == 403 || answer.Code/100 == 401 || answer.Code/100 == 403:
		return fmt.Errorf("%w: check basic.auth.user.info or bearer.auth.token of the converter, and what this user may do with subject %s", err, subject)
	case answer.Code == 404 || answer.Code/100 == 404:
		return fmt.Errorf("%w: the schema is not registered under subject %s: register it, or set auto.register.schemas=true", err, subject)
	}
	return err
}

// Cache keeps what a decoder has made of schemas, by their ids, bounded in number and in bytes of their texts.
type Cache[T any] struct {
	room  int
	bytes int
	made  map[int]T
	last  int
	of    T
}

// NewCache makes one for so many schemas.
func NewCache[T any](room int) *Cache[T] {
	return &Cache[T]{room: max(1, room), made: map[int]T{}, last: -1}
}

// Get finds what was made of a schema.
func (c *Cache[T]) Get(id int) (T, bool) {
	if id == c.last {
		return c.of, true
	}
	out, ok := c.made[id]
	if ok {
		c.last, c.of = id, out
	}
	return out, ok
}

// Put keeps it; size is the length of the schema's text.
func (c *Cache[T]) Put(id, size int, made T) {
	if len(c.made) >= c.room || c.bytes+size > maxTextBytes {
		clear(c.made)
		c.bytes = 0
	}
	c.made[id] = made
	c.bytes += size
	c.last, c.of = id, made
}
