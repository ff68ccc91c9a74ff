package connectors

import "errors"

// Class decides what the runtime does with an error.
type Class uint8

// The three classes.
const (
	Retriable Class = iota // the default: tried again with growing pauses, for ever unless configured otherwise
	Permanent              // the task is FAILED with this cause
	Fenced                 // somebody else owns this work now: stop at once, write nothing more, never retry in place (I6)
)

// String is the class as status and logs show it.
func (c Class) String() string {
	switch c {
	case Permanent:
		return "permanent"
	case Fenced:
		return "fenced"
	}
	return "retriable"
}

type classed struct {
	class Class
	err   error
}

func (e *classed) Error() string { return e.err.Error() }
func (e *classed) Unwrap() error { return e.err }

// AsPermanent marks an error that trying again cannot mend.
func AsPermanent(err error) error { return classify(Permanent, err) }

// AsFenced marks an error that means another owner took over.
func AsFenced(err error) error { return classify(Fenced, err) }

func classify(c Class, err error) error {
	if err == nil {
		return nil
	}
	return &classed{c, err}
}

// ClassOf returns the class of an error: the outermost mark in its chain, Retriable without one.
func ClassOf(err error) Class {
	var c *classed
	if errors.As(err, &c) {
		return c.class
	}
	return Retriable
}

// ErrStopped is returned by Poll, Put and NewBatch when the task is being stopped.
var ErrStopped = errors.New("the task is stopping")

type request struct{ error }

func (e request) Unwrap() error { return e.error }

// AsRequest marks an error as the mistake of who asked: an API answers it as a bad request.
func AsRequest(err error) error { return request{err} }

// IsRequest tells such an error.
func IsRequest(err error) bool { return errors.As(err, new(request)) }
