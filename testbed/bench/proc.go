//go:build linux

package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of CPU times in /proc: USER_HZ is 100 on every Linux.
const clockTick = 10 * time.Millisecond

// processStat is the part of /proc/PID/stat that is needed.
type processStat struct {
	pid, parent int
	own         time.Duration // CPU of the process's own threads
	reaped      time.Duration // CPU of its children that have ended and were waited for
}

// parseStat reads the text of /proc/PID/stat; the name in parentheses may hold anything.
func parseStat(text string) (processStat, error) {
	open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if open < 0 || end < open {
		return processStat{}, fmt.Errorf("read process state %q: no name in parentheses", text)
	}
	fields := strings.Fields(text[end+1:])
	if len(fields) < 15 {
		return processStat{}, fmt.Errorf("read process state %q: too few fields", text)
	}
	// fields[0] is the third one of proc(5).
	var n [5]int64
	for i, field := range []string{strings.TrimSpace(text[:open]), fields[1], fields[11], fields[12], fields[13]} {
		v, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return processStat{}, fmt.Errorf("read process state %q: %w", text, err)
		}
		n[i] = v
	}
	reapedSystem, err := strconv.ParseInt(fields[14], 10, 64)
	if err != nil {
		return processStat{}, fmt.Errorf("read process state %q: %w", text, err)
	}
	return processStat{
		pid: int(n[0]), parent: int(n[1]), own: time.Duration(n[2]+n[3]) * clockTick, reaped: time.Duration(n[4]+reapedSystem) * clockTick,
	}, nil
}

// processCPU is what a process has used so far, without its children.
func processCPU(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read CPU time of process %d: %w", pid, err)
	}
	s, err := parseStat(string(text))
	return s.own, err
}

// workerCPU is what a worker and the processes of its plugins have used so far.
func workerCPU(pid int) (time.Duration, error) {
	if _, err := processCPU(pid); err != nil {
		return 0, err
	}
	return treeCPU(processes(), pid), nil
}

// processes lists what runs.
func processes() []processStat {
	names, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well-formed
	var out []processStat
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		if s, err := parseStat(string(text)); err == nil {
			out = append(out, s)
		}
	}
	return out
}

// treeCPU is what a process and all its descendants have used so far, ended ones included; nothing for process 0, which is not seen.
func treeCPU(all []processStat, root int) time.Duration {
	if root == 0 {
		return 0
	}
	within := map[int]bool{root: true}
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			if !within[p.pid] && within[p.parent] {
				within[p.pid], grown = true, true
			}
		}
	}
	var sum time.Duration
	for _, p := range all {
		if within[p.pid] {
			sum += p.own + p.reaped
		}
	}
	return sum
}

// memory gives the resident set of a process, in bytes: now, and the highest it was.
func memory(pid int) (now, peak int64, err error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, fmt.Errorf("read memory of process %d: %w", pid, err)
	}
	defer func() { _ = f.Close() }() // only read
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		if name != "VmRSS" && name != "VmHWM" {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("read memory of process %d: %w", pid, err)
		}
		if name == "VmRSS" {
			now = n << 10
		} else {
			peak = n << 10
		}
	}
	if now == 0 {
		return 0, 0, fmt.Errorf("read memory of process %d: it has ended", pid)
	}
	return now, peak, nil
}

// listener finds the process that listens on a TCP port of this machine, the oldest where several share the socket. 0: it is
// not to be seen from here.
func listener(port int) int {
	sockets := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue // no IPv6
		}
		for _, inode := range listening(string(text), port) {
			sockets["socket:["+inode+"]"] = true
		}
	}
	holders := map[int]bool{}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is well-formed
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && sockets[target] {
			pid, _ := strconv.Atoi(strings.Split(link, "/")[2]) // digits, by the pattern
			holders[pid] = true
		}
	}
	for _, p := range processes() {
		if holders[p.pid] && !holders[p.parent] {
			return p.pid
		}
	}
	return 0
}

// listening gives the socket numbers of a /proc/net/tcp table that listen on a port.
func listening(table string, port int) []string {
	var out []string
	for _, line := range strings.Split(table, "\n") {
		f := strings.Fields(line)
		if len(f) > 9 && f[3] == "0A" && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
			out = append(out, f[9])
		}
	}
	return out
}
