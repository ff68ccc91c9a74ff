package standalone

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/freshet-io/freshet/offsets"
	"github.com/freshet-io/freshet/offsets/boltstore"
)

// javaMagic starts every stream of java.io.ObjectOutputStream.
const javaMagic = "\xac\xed\x00\x05"

func isJava(path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("open offset file: %w", err)
	}
	head := make([]byte, len(javaMagic))
	_, err = io.ReadFull(f, head)
	if cerr := f.Close(); cerr != nil {
		return false, fmt.Errorf("close offset file: %w", cerr)
	}
	return err == nil && string(head) == javaMagic, nil // too short, or not a file: the store says what is wrong
}

// importJava copies what FileOffsetBackingStore wrote into a new offset file, which is complete when it appears.
func importJava(ctx context.Context, from, to string) (int, error) {
	text, err := os.ReadFile(from)
	if err != nil {
		return 0, fmt.Errorf("read offset file: %w", err)
	}
	entries, n, err := parseJava(text)
	if err != nil {
		return 0, fmt.Errorf("import offset file %s of Kafka Connect: %w", from, err)
	}
	part := to + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, fmt.Errorf("import offset file %s: %w", from, err)
	}
	store, err := boltstore.Open(part)
	if err != nil {
		return 0, err
	}
	for connector, list := range entries {
		if err := store.Save(ctx, connector, list); err != nil {
			return 0, errors.Join(err, store.Close())
		}
	}
	if err := store.Close(); err != nil {
		return 0, err
	}
	if err := os.Rename(part, to); err != nil {
		return 0, fmt.Errorf("import offset file %s: %w", from, err)
	}
	return n, nil
}

// parseJava reads a serialised HashMap<byte[], byte[]> whose keys are ["connector",{partition}] and whose values are offsets
// (java.io.ObjectStreamConstants; org.apache.kafka.connect.storage.FileOffsetBackingStore).
func parseJava(text []byte) (map[string][]offsets.Entry, int, error) {
	r := &javaReader{rest: text[min(len(text), len(javaMagic)):]}
	pairs, err := r.hashMap()
	if err != nil {
		return nil, 0, err
	}
	out := map[string][]offsets.Entry{}
	for _, p := range pairs {
		connector, partition, err := offsets.DecodeKey(p.key)
		if err != nil {
			return nil, 0, err
		}
		if len(p.value) == 0 || string(p.value) == "null" {
			continue
		}
		offset, err := offsets.ParseOffset(p.value)
		if err != nil {
			return nil, 0, fmt.Errorf("value of key %q: %w", p.key, err)
		}
		out[connector] = append(out[connector], offsets.Entry{Partition: partition, Offset: offset})
	}
	return out, len(pairs), nil
}

type javaPair struct{ key, value []byte }

// javaReader reads the few forms that a HashMap of byte arrays uses. arrays are the handles given out so far; those that are
// no array are nil.
type javaReader struct {
	rest   []byte
	arrays [][]byte
}

var errJava = errors.New("it is not a serialised HashMap of byte arrays")

const (
	tcNull, tcReference, tcClassDesc, tcObject, tcArray, tcBlock, tcEnd = 0x70, 0x71, 0x72, 0x73, 0x75, 0x77, 0x78
	firstHandle                                                         = 0x7e0000
)

func (r *javaReader) take(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.rest = nil
		return make([]byte, max(0, min(n, 16)))
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

func (r *javaReader) byte() byte { return r.take(1)[0] }
func (r *javaReader) int() int   { return int(int32(binary.BigEndian.Uint32(r.take(4)))) }
func (r *javaReader) short() int { return int(binary.BigEndian.Uint16(r.take(2))) }

func (r *javaReader) hashMap() ([]javaPair, error) {
	if r.byte() != tcObject {
		return nil, errJava
	}
	name, fields, err := r.classDesc()
	if err != nil || name != "java.util.HashMap" {
		return nil, errJava
	}
	r.arrays = append(r.arrays, nil) // the map itself
	r.take(fields)
	if r.byte() != tcBlock || r.byte() != 8 {
		return nil, errJava
	}
	r.int() // capacity
	n := r.int()
	if n < 0 || n > len(r.rest) {
		return nil, errJava
	}
	pairs := make([]javaPair, 0, n)
	for range n {
		k, err := r.array()
		if err != nil {
			return nil, err
		}
		v, err := r.array()
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, javaPair{k, v})
	}
	if len(r.rest) == 0 || r.byte() != tcEnd {
		return nil, errors.New("it ends too early")
	}
	return pairs, nil
}

// classDesc reads a class description (or a reference to one) and returns its name and the bytes of its primitive fields.
func (r *javaReader) classDesc() (name string, fields int, err error) {
	switch r.byte() {
	case tcReference:
		r.int()
		return "", 0, nil
	case tcClassDesc:
	default:
		return "", 0, errJava
	}
	name = string(r.take(r.short()))
	r.take(9) // serialVersionUID, flags
	r.arrays = append(r.arrays, nil)
	for range r.short() {
		size := bytes.IndexByte([]byte("BZCSIFJD"), r.byte())
		if size < 0 {
			return "", 0, errJava
		}
		fields += []int{1, 1, 2, 2, 4, 4, 8, 8}[size]
		r.take(r.short())
	}
	if r.byte() != tcEnd || r.byte() != tcNull {
		return "", 0, errJava
	}
	return name, fields, nil
}

// array reads a byte array, null, or a reference to an array before.
func (r *javaReader) array() ([]byte, error) {
	switch r.byte() {
	case tcNull:
		return nil, nil
	case tcReference:
		if i := r.int() - firstHandle; i >= 0 && i < len(r.arrays) && r.arrays[i] != nil {
			return r.arrays[i], nil
		}
		return nil, errJava
	case tcArray:
	default:
		return nil, errJava
	}
	if name, _, err := r.classDesc(); err != nil || name != "" && name != "[B" {
		return nil, errJava
	}
	n := r.int()
	if n < 0 || n > len(r.rest) {
		return nil, errors.New("it ends too early")
	}
	out := r.take(n)
	r.arrays = append(r.arrays, out)
	return out, nil
}
