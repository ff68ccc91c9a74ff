package conformance

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// childProcesses are the processes that this one started and that have not ended, by id; none where there is no /proc.
func childProcesses() map[int]string {
	out := map[int]string{}
	self := strconv.Itoa(os.Getpid())
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		// id (name) state parent …; the name may hold anything
		start, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
		if start < 0 || end < start {
			continue
		}
		fields := strings.Fields(string(text[end+1:]))
		id, err := strconv.Atoi(strings.TrimSpace(string(text[:start])))
		if err != nil || len(fields) < 2 || fields[1] != self || fields[0] == "Z" {
			continue
		}
		out[id] = string(text[start+1 : end])
	}
	return out
}
