// Command summary reads the output of `go test -json` (several runs in a row may be joined), shows what failed and what was
// skipped, and ends with the counts: "12 passed, 0 failed, 1 skipped". Exit status 1 when something failed or nothing ran.
package main

import (
	"fmt"
	"os"
)

func main() {
	ok, err := summarize(os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "summary:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}
