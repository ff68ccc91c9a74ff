package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// chdb is the part of chdb.h that is used here.
type chdb struct {
	Connect     func(argc int32, argv unsafe.Pointer) uintptr
	Close       func(handle uintptr)
	Query       func(conn uintptr, query unsafe.Pointer, queryLen uintptr, format unsafe.Pointer, formatLen uintptr) uintptr
	Bound       func(conn uintptr, query unsafe.Pointer, queryLen uintptr, format unsafe.Pointer, formatLen uintptr, names, nameLens, values, valueLens unsafe.Pointer, n uintptr) uintptr
	Insert      func(conn uintptr, query unsafe.Pointer, queryLen uintptr, format unsafe.Pointer, formatLen uintptr) uintptr
	Append      func(stream uintptr, data unsafe.Pointer, n uintptr) int32
	Done        func(stream uintptr) uintptr
	Cancel      func(stream uintptr)
	InsertError func(stream uintptr) unsafe.Pointer
	FreeInsert  func(stream uintptr)
	Buffer      func(result uintptr) unsafe.Pointer
	Length      func(result uintptr) uintptr
	Error       func(result uintptr) unsafe.Pointer
	RowsWritten func(result uintptr) uint64
	Free        func(result uintptr)
	Signals     func(on int32)
}

func load(path string) (*chdb, error) {
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	l := &chdb{}
	for name, f := range map[string]any{
		"chdb_connect": &l.Connect, "chdb_close_conn": &l.Close, "chdb_query_n": &l.Query, "chdb_query_with_params_n": &l.Bound, "chdb_stream_insert_n": &l.Insert,
		"chdb_stream_append": &l.Append, "chdb_stream_done": &l.Done, "chdb_stream_cancel_insert": &l.Cancel, "chdb_stream_insert_error": &l.InsertError,
		"chdb_destroy_insert_stream": &l.FreeInsert, "chdb_result_buffer": &l.Buffer, "chdb_result_length": &l.Length, "chdb_result_error": &l.Error,
		"chdb_result_rows_written": &l.RowsWritten, "chdb_destroy_query_result": &l.Free, "chdb_set_signal_handlers_enabled": &l.Signals,
	} {
		purego.RegisterLibFunc(f, handle, name)
	}
	l.Signals(0)
	return l, nil
}

// engine is one connection to the database in a folder. Settings belong to it, so a request has its own.
type engine struct {
	*chdb
	handle, conn uintptr
}

func (l *chdb) open(folder string) (*engine, error) {
	name, path := []byte("clickhouse\x00"), []byte("--path="+folder+"\x00")
	argv := []unsafe.Pointer{unsafe.Pointer(&name[0]), unsafe.Pointer(&path[0]), nil}
	handle := l.Connect(2, unsafe.Pointer(&argv[0]))
	runtime.KeepAlive(name)
	runtime.KeepAlive(path)
	if handle == 0 || *(*uintptr)(unsafe.Pointer(handle)) == 0 {
		return nil, errors.New("Code: 1000. DB::Exception: the engine refused a connection. (POCO_EXCEPTION)")
	}
	return &engine{l, handle, *(*uintptr)(unsafe.Pointer(handle))}, nil
}

func (e *engine) close() { e.chdb.Close(e.handle) }

// query runs a statement; parameters are those of {name:Type} in it.
func (e *engine) query(statement, format string, parameters map[string]string) (answer, error) {
	if len(parameters) == 0 {
		return e.take(e.Query(e.conn, pointer(statement), uintptr(len(statement)), pointer(format), uintptr(len(format))))
	}
	var names, values []unsafe.Pointer
	var nameLens, valueLens []uintptr
	for name, value := range parameters {
		names, nameLens = append(names, pointer(name)), append(nameLens, uintptr(len(name)))
		values, valueLens = append(values, pointer(value)), append(valueLens, uintptr(len(value)))
	}
	return e.take(e.Bound(e.conn, pointer(statement), uintptr(len(statement)), pointer(format), uintptr(len(format)),
		unsafe.Pointer(&names[0]), unsafe.Pointer(&nameLens[0]), unsafe.Pointer(&values[0]), unsafe.Pointer(&valueLens[0]), uintptr(len(names))))
}

// insert streams the data of an INSERT. When data ends too early, nothing is stored.
func (e *engine) insert(statement, format string, data io.Reader) (answer, error) {
	stream := e.Insert(e.conn, pointer(statement), uintptr(len(statement)), pointer(format), uintptr(len(format)))
	defer e.FreeInsert(stream)
	if text := text(e.InsertError(stream)); text != "" {
		return answer{}, errors.New(text)
	}
	for chunk := make([]byte, 1<<20); ; {
		n, err := io.ReadFull(data, chunk)
		if n > 0 && e.Append(stream, unsafe.Pointer(&chunk[0]), uintptr(n)) != 0 {
			if text := text(e.InsertError(stream)); text != "" {
				return answer{}, errors.New(text)
			}
			return e.take(e.Done(stream))
		}
		switch {
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			return e.take(e.Done(stream))
		case err != nil:
			e.Cancel(stream)
			return answer{}, fmt.Errorf("Code: 32. DB::Exception: Attempt to read after eof: %w. (ATTEMPT_TO_READ_AFTER_EOF)", err)
		}
	}
}

type answer struct {
	body    []byte
	written uint64
}

func (e *engine) take(result uintptr) (answer, error) {
	if result == 0 {
		return answer{}, errors.New("Code: 1000. DB::Exception: no result. (POCO_EXCEPTION)")
	}
	defer e.Free(result)
	if text := text(e.Error(result)); text != "" {
		return answer{}, errors.New(text)
	}
	a := answer{written: e.RowsWritten(result)}
	if n := e.Length(result); n > 0 {
		a.body = bytes.Clone(unsafe.Slice((*byte)(e.Buffer(result)), n))
	}
	return a, nil
}

func text(p unsafe.Pointer) string {
	if p == nil {
		return ""
	}
	n := 0
	for *(*byte)(unsafe.Add(p, n)) != 0 {
		n++
	}
	return string(unsafe.Slice((*byte)(p), n))
}

func pointer(s string) unsafe.Pointer {
	if s == "" {
		s = "\x00"
	}
	return unsafe.Pointer(unsafe.StringData(s))
}
