// Package boltstore keeps offsets in one local file (bbolt), for a worker without Kafka. A written entry survives the end
// of the process at any moment. One process at a time can have the file open.
package boltstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/freshet-io/freshet/offsets"
)

// Layout: bucket "freshet" {"format": "1"}, and one bucket "offsets" with a bucket per connector, partition → offset.
const (
	bucketMeta    = "freshet"
	bucketOffsets = "offsets"
	keyFormat     = "format"

	format   = "1"
	lockWait = 200 * time.Millisecond
)

// Store is an offsets.Store in a file.
type Store struct {
	path string
	db   *bolt.DB
}

// Open opens or creates the file.
func Open(path string) (*Store, error) { return openWith(path, bolt.Options{Timeout: lockWait}) }

func openWith(path string, o bolt.Options) (*Store, error) {
	if err := checkPlace(path); err != nil {
		return nil, err
	}
	s := &Store{path: path}
	err := sound(func() (err error) {
		s.db, err = bolt.Open(path, 0o600, &o)
		return err
	})
	if err != nil {
		return nil, explain("open", path, err)
	}
	err = explain("open", path, s.view(checkPages))
	if err == nil {
		err = s.checkFormat()
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

var errDamaged = errors.New("it is damaged")

// sound runs a call of bbolt, which panics, or reads beyond the end of the file, when pages are damaged.
func sound(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w (%v)", errDamaged, r)
		}
	}()
	return f()
}

func (s *Store) update(f func(*bolt.Tx) error) error {
	return sound(func() error { return s.db.Update(f) })
}

func (s *Store) view(f func(*bolt.Tx) error) error {
	return sound(func() error { return s.db.View(f) })
}

// checkPlace finds out what bbolt would report less clearly.
func checkPlace(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return fmt.Errorf("open offset file %s: it is a directory; name a file", path)
	}
	if _, err := os.Stat(filepath.Dir(path)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("open offset file %s: the directory does not exist; create it", path)
	}
	return nil
}

// checkPages refuses a page that says it reaches beyond the end: to free it, bbolt would count every page that it claims, in memory.
func checkPages(tx *bolt.Tx) error {
	for id := 2; ; { // behind the two of the file itself
		p, err := tx.Page(id)
		if err != nil || p == nil {
			return err
		}
		if id++; p.Type == "free" || p.OverflowCount == 0 {
			continue
		}
		id += p.OverflowCount
		if last, err := tx.Page(id - 1); err != nil || last == nil {
			return fmt.Errorf("%w (page %d reaches beyond its end)", errDamaged, p.ID)
		}
	}
}

// text copies a key or value, unless its length is one that the file cannot hold: bbolt gives what the page says.
func text(tx *bolt.Tx, b []byte) (string, error) {
	if int64(len(b)) > tx.Size() {
		return "", fmt.Errorf("%w (an entry claims %d bytes)", errDamaged, len(b))
	}
	return string(b), nil
}

func (s *Store) checkFormat() error {
	err := s.update(func(tx *bolt.Tx) error {
		meta := tx.Bucket([]byte(bucketMeta))
		if meta == nil {
			if first, _ := tx.Cursor().First(); first != nil {
				return errors.New("it is a database of another program; name another file (offset.storage.file.filename)")
			}
			var err error
			if meta, err = tx.CreateBucket([]byte(bucketMeta)); err != nil {
				return err
			}
			if err := meta.Put([]byte(keyFormat), []byte(format)); err != nil {
				return err
			}
		}
		v, err := text(tx, meta.Get([]byte(keyFormat)))
		if err != nil {
			return err
		}
		if v != format {
			return fmt.Errorf("it has format %.20q, this freshet reads format %s; use the freshet that wrote it", v, format)
		}
		_, err = tx.CreateBucketIfNotExists([]byte(bucketOffsets))
		return err
	})
	return explain("open", s.path, err)
}

// explain names the file and what to do.
func explain(what, path string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("%s offset file %s: it is in use by another freshet; stop that one, or give this one its own file (offset.storage.file.filename)", what, path)
	case errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%s offset file %s: it cannot be written; change its permissions, or name another file (offset.storage.file.filename): %w", what, path, err)
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%s offset file %s: the disk is full; nothing is lost, make room: %w", what, path, err)
	case errors.Is(err, errDamaged):
		return fmt.Errorf("%s offset file %s: %w; put back a copy of it, or take it away: connectors then begin anew, with a snapshot", what, path, err)
	case errors.Is(err, bolterrors.ErrInvalid) || errors.Is(err, bolterrors.ErrChecksum) || errors.Is(err, bolterrors.ErrVersionMismatch):
		return fmt.Errorf("%s offset file %s: it is not an offset file of freshet; name another one (offset.storage.file.filename): %w", what, path, err)
	}
	return fmt.Errorf("%s offset file %s: %w", what, path, err)
}

// Load implements offsets.Store.
func (s *Store) Load(ctx context.Context, connector string, partitions ...offsets.Partition) ([]offsets.Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var out []offsets.Entry
	err := s.view(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(bucketOffsets)).Bucket(connectorKey(connector))
		if b == nil {
			return nil
		}
		read := func(p, o []byte) error {
			partition, err := text(tx, p)
			if err != nil {
				return err
			}
			offset, err := text(tx, o)
			if err != nil {
				return err
			}
			out = append(out, offsets.Entry{Partition: offsets.Partition(partition), Offset: offsets.Offset(offset)})
			return nil
		}
		if len(partitions) == 0 {
			return b.ForEach(read)
		}
		for _, p := range partitions {
			if o := b.Get([]byte(p)); o != nil {
				if err := read([]byte(p), o); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return out, explain("read", s.path, err)
}

// connectorKey is never empty, as bbolt wants it.
func connectorKey(name string) []byte { return []byte("c" + name) }

// Save implements offsets.Store: all entries or none, on disk when it returns.
func (s *Store) Save(ctx context.Context, connector string, entries []offsets.Entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := s.update(func(tx *bolt.Tx) error {
		b, err := tx.Bucket([]byte(bucketOffsets)).CreateBucketIfNotExists(connectorKey(connector))
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Offset == "" {
				err = b.Delete([]byte(e.Partition))
			} else {
				err = b.Put([]byte(e.Partition), []byte(e.Offset))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return explain("write", s.path, err)
}

// Close implements offsets.Store.
func (s *Store) Close() error { return explain("close", s.path, sound(s.db.Close)) }
