package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// privateDir is the environment variable that tells the unprivileged demo which directory it owns.
const privateDir = "FRESHET_DEMO_DIR"

// nobody is the user and group that the demo runs as when root starts it.
const nobody = 65534

// NeedsUnprivileged tells whether the demo must be run through RunUnprivileged: Postgres and MariaDB refuse to run as root.
func NeedsUnprivileged() bool { return os.Geteuid() == 0 }

// RunUnprivileged runs a copy of the executable with the arguments as the user nobody, in a directory that only that
// user can read, and returns its exit code. The download is taken from and put back to the cache directory.
func RunUnprivileged(ctx context.Context, executable string, args []string, cache string) (code int, err error) {
	dir, err := os.MkdirTemp("", "freshet-demo-")
	if err != nil {
		return 0, fmt.Errorf("make a directory for the demo: %w", err)
	}
	defer func() {
		if e := os.RemoveAll(dir); e != nil {
			err = errors.Join(err, fmt.Errorf("remove the demo's directory: %w", e))
		}
	}()
	private := filepath.Join(dir, "cache")
	if err := os.Mkdir(private, 0o700); err != nil {
		return 0, fmt.Errorf("make a directory for the demo: %w", err)
	}
	program := filepath.Join(dir, "freshet")
	if err := copyFile(executable, program, 0o755); err != nil {
		return 0, err
	}
	if err := copyArchives(cache, private); err != nil {
		return 0, err
	}
	if err := giveAway(dir); err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = append(withoutHome(os.Environ()), privateDir+"="+dir, "HOME="+dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = childAttributes(syscall.SIGTERM)
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute
	err = cmd.Run()
	if e := copyArchives(private, cache); e != nil {
		return 0, e
	}
	if cmd.ProcessState != nil && cmd.ProcessState.Exited() {
		return cmd.ProcessState.ExitCode(), nil
	}
	return 0, fmt.Errorf("run the demo as an unprivileged user: %w", err)
}

func withoutHome(env []string) []string {
	var out []string
	for _, e := range env {
		if !strings.HasPrefix(e, "HOME=") && !strings.HasPrefix(e, "XDG_") {
			out = append(out, e)
		}
	}
	return out
}

// giveAway makes nobody the owner of everything in dir but the program.
func giveAway(dir string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.Name() == "freshet" && !e.IsDir() {
			return nil
		}
		return os.Lchown(path, nobody, nobody)
	})
}

// copyArchives copies the archives that the other directory lacks. It follows no symbolic link, as one side belongs to another user.
func copyArchives(from, to string) error {
	entries, err := os.ReadDir(from)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the download cache: %w", err)
	}
	for _, e := range entries {
		target := filepath.Join(to, e.Name())
		if _, err := os.Lstat(target); !e.Type().IsRegular() || !isArchive(e.Name()) || err == nil {
			continue
		}
		if err := os.MkdirAll(to, 0o755); err != nil {
			return fmt.Errorf("make the download cache: %w", err)
		}
		if err := copyFile(filepath.Join(from, e.Name()), target, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func isArchive(name string) bool {
	return strings.HasSuffix(name, ".txz") || strings.HasSuffix(name, ".zip")
}

// copyFile copies a regular file; the target appears whole or not at all.
func copyFile(from, to string, mode os.FileMode) error {
	in, err := os.OpenFile(from, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("copy file: %w", err)
	}
	defer func() { _ = in.Close() }() // read only
	out, err := os.CreateTemp(filepath.Dir(to), ".copy-")
	if err != nil {
		return fmt.Errorf("copy file: %w", err)
	}
	_, err = io.Copy(out, in)
	err = errors.Join(err, out.Chmod(mode), out.Close())
	if err == nil {
		err = os.Rename(out.Name(), to)
	}
	if err != nil {
		return fmt.Errorf("copy %s to %s: %w", from, to, errors.Join(err, os.Remove(out.Name())))
	}
	return nil
}
