package runtime

import (
	"fmt"
	"runtime/debug"

	"github.com/freshet-io/freshet/connectors"
)

// guard calls into a connector; a panic there becomes a permanent error of the task instead of the end of the worker.
func guard(what string, f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = connectors.AsPermanent(fmt.Errorf("%s panicked: %v\n%s", what, r, debug.Stack()))
		}
	}()
	return f()
}

func guarded[T any](what string, f func() (T, error)) (out T, err error) {
	err = guard(what, func() error {
		var inner error
		out, inner = f()
		return inner
	})
	return out, err
}
