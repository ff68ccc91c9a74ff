package boltstore

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/freshet-io/freshet/offsets"
)

func TestMain(m *testing.M) {
	switch os.Getenv("BOLTSTORE_CHILD") {
	case "write":
		writeForEver(os.Getenv("BOLTSTORE_PATH"))
	case "full":
		fillUp(os.Getenv("BOLTSTORE_PATH"))
	default:
		os.Exit(m.Run())
	}
}

func writeForEver(path string) {
	s, err := Open(path)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for n := 0; ; n++ {
		o := fmt.Sprintf(`{"n":%d}`, n)
		if err := s.Save(context.Background(), "c", []offsets.Entry{entry(`{"p":1}`, o)}); err != nil {
			os.Exit(1)
		}
		fmt.Println(o)
	}
}

// fillUp writes until the limit on the file size stops it, then shows that the first entry is still there.
func fillUp(path string) {
	s, err := Open(path)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	ctx := context.Background()
	if err := s.Save(ctx, "c", []offsets.Entry{entry(`{"p":1}`, `{"n":1}`)}); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	info, _ := os.Stat(path)
	limit := uint64(info.Size()) + 1<<16
	_ = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit})
	big := strings.Repeat("x", 1<<20)
	for n := 0; err == nil && n < 100; n++ {
		err = s.Save(ctx, "c", []offsets.Entry{entry(fmt.Sprintf(`{"q":%d}`, n), big)})
	}
	kept, _ := s.Load(ctx, "c", `{"p":1}`)
	fmt.Printf("%v, kept %d\n", err, len(kept))
	os.Exit(0)
}

func child(t *testing.T, what, path string) io.Reader {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "BOLTSTORE_CHILD="+what, "BOLTSTORE_PATH="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	running = cmd
	t.Cleanup(func() { stopChild(t) })
	return out
}

// running is the child of the test that runs; these tests do not run in parallel.
var running *exec.Cmd

// stopChild kills the child and waits for its end.
func stopChild(t *testing.T) {
	t.Helper()
	if running == nil {
		return
	}
	_ = running.Process.Kill()
	_ = running.Wait()
	running = nil
}

func writeFormat(t *testing.T, path, v string) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket([]byte(bucketMeta))
		if err != nil {
			return err
		}
		return b.Put([]byte(keyFormat), []byte(v))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
