package demo

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestDownloadComparesTheChecksum(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/archive" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte("archive")) // the client tells of it
	}))
	defer server.Close()
	sum := sha256.Sum256([]byte("archive"))
	right := hex.EncodeToString(sum[:])
	var got bytes.Buffer
	if err := download(t.Context(), server.URL+"/archive", right, &got); err != nil || got.String() != "archive" {
		t.Errorf("downloaded %q: %v", got.String(), err)
	}
	if err := download(t.Context(), server.URL+"/archive", strings.Repeat("0", 64), &got); err == nil || !strings.Contains(err.Error(), right) {
		t.Errorf("another checksum: %v", err)
	}
	if err := download(t.Context(), server.URL+"/gone", right, &got); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("not there: %v", err)
	}
}

// What is kept of the archive is enough to run the server, and no more.
func TestArchiveIsReduced(t *testing.T) {
	if err := Available(MySQL); err != nil {
		t.Skip(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	whole, err := os.Create(filepath.Join(dir, "whole"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = whole.Close() }() // nothing is written any more
	w := zip.NewWriter(whole)
	for name, content := range map[string][]byte{
		mariadbFolder + mariadbServer: program, mariadbFolder + mariadbTables[0]: []byte("sql"), mariadbFolder + "share/charsets/": nil,
		mariadbFolder + "share/charsets/Index.xml": []byte("xml"), mariadbFolder + "bin/mariadb": program, "LICENSE.txt": []byte("text"),
	} {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var less bytes.Buffer
	if err := reduce(whole, &less); err != nil {
		t.Fatal(err)
	}
	archive, into := filepath.Join(dir, "less.zip"), filepath.Join(dir, "server")
	if err := os.WriteFile(archive, less.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unpack(archive, into); err != nil {
		t.Fatal(err)
	}
	var names []string
	err = filepath.Walk(into, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			names = append(names, strings.TrimPrefix(path, into+"/"))
		}
		return err
	})
	if want := []string{mariadbServer, "share/charsets/Index.xml", mariadbTables[0]}; err != nil || !slices.Equal(names, want) {
		t.Errorf("unpacked %v (%v), want %v", names, err, want)
	}
	info, err := os.Stat(filepath.Join(into, mariadbServer))
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() >= int64(len(program)) {
		t.Errorf("the program still has %d of %d bytes", info.Size(), len(program))
	}
	if out, err := exec.Command(filepath.Join(into, mariadbServer), "-test.list", "TestArchiveIsReduced").CombinedOutput(); err != nil || !strings.Contains(string(out), "TestArchiveIsReduced") {
		t.Errorf("the program does not run: %v\n%s", err, out)
	}
}

func TestUnpackStaysInItsDirectory(t *testing.T) {
	dir := t.TempDir()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	if _, err := w.Create("../outside"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a.zip"), b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unpack(filepath.Join(dir, "a.zip"), filepath.Join(dir, "into")); err == nil {
		t.Error("a file outside of the directory was written")
	}
	if _, err := os.Stat(filepath.Join(dir, "outside")); !os.IsNotExist(err) {
		t.Errorf("a file outside of the directory: %v", err)
	}
}
