package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/herder"
)

var (
	ok        = answer{status: http.StatusOK}
	accepting = answer{status: http.StatusAccepted}
	noContent = answer{status: http.StatusNoContent}
)

func with(a answer, body any) answer {
	a.body = body
	return a
}

func list(ctx context.Context, r *request) (answer, error) {
	names, err := r.api.herder.Names(ctx)
	if err != nil {
		return answer{}, err
	}
	expand, asked := r.query["expand"]
	if !asked {
		if names == nil {
			names = []string{}
		}
		return with(ok, names), nil
	}
	out := make(map[string]map[string]any, len(names))
	for _, name := range names {
		parts := map[string]any{}
		for _, what := range expand {
			switch what {
			case "status":
				parts[what], err = r.api.herder.Status(ctx, name)
			case "info":
				parts[what], err = r.api.herder.Info(ctx, name)
			}
			if err != nil {
				break
			}
		}
		switch {
		case err == nil:
			out[name] = parts
		case !isNotFound(err): // else it was deleted meanwhile
			return answer{}, err
		}
		err = nil
	}
	return with(ok, out), nil
}

func isNotFound(err error) bool {
	var r *runtime.RequestError
	return errors.As(err, &r) && r.Kind == runtime.NotFound
}

// javaTrim cuts what Java's String.trim cuts: blanks and control characters of ASCII.
func javaTrim(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return r <= ' ' })
}

func create(ctx context.Context, r *request) (answer, error) {
	body, given, err := decode(r.body, (*decoder).createRequest)
	if err != nil {
		return answer{}, err
	}
	if !given || body.config == nil {
		return answer{}, errors.New(`the request has no configuration: expected {"name": "…", "config": {"connector.class": "…"}}`)
	}
	name := ""
	if body.name != nil {
		name = javaTrim(*body.name)
	}
	if err := setName(body.config, name); err != nil {
		return answer{}, err
	}
	found, err := r.api.herder.Create(ctx, name, body.config, body.initial)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusCreated, body: found, location: found.Name}, nil
}

// setName puts the name into the configuration, or checks the one that is there.
func setName(c herder.Properties, name string) error {
	if given := c["name"]; given != nil && *given != name {
		return &runtime.RequestError{
			Kind:    runtime.BadRequest,
			Message: fmt.Sprintf("Connector name configuration (%s) doesn't match connector name in the URL (%s)", *given, name),
		}
	}
	c["name"] = &name
	return nil
}

// properties reads the body as a configuration.
func (r *request) properties() (herder.Properties, error) {
	p, given, err := decode(r.body, (*decoder).properties)
	if err == nil && !given {
		err = errors.New("the request has no body: expected the configuration as a JSON object")
	}
	return p, err
}

func put(ctx context.Context, r *request) (answer, error) {
	p, err := r.properties()
	if err != nil {
		return answer{}, err
	}
	name := r.names[0]
	if err := setName(p, name); err != nil {
		return answer{}, err
	}
	found, created, err := r.api.herder.Put(ctx, name, p)
	if err != nil {
		return answer{}, err
	}
	if created {
		return answer{status: http.StatusCreated, body: found, location: found.Name}, nil
	}
	return with(ok, found), nil
}

func patch(ctx context.Context, r *request) (answer, error) {
	p, given, err := decode(r.body, (*decoder).properties)
	if err != nil {
		return answer{}, err
	}
	if !given {
		if _, err := r.api.herder.Info(ctx, r.names[0]); err != nil {
			return answer{}, err
		}
		return answer{}, errors.New("the request has no body: expected the keys to change as a JSON object")
	}
	found, err := r.api.herder.Patch(ctx, r.names[0], p)
	return with(ok, found), err
}

func info(ctx context.Context, r *request) (answer, error) {
	found, err := r.api.herder.Info(ctx, r.names[0])
	return with(ok, found), err
}

func config(ctx context.Context, r *request) (answer, error) {
	found, err := r.api.herder.Info(ctx, r.names[0])
	return with(ok, found.Config), err
}

func status(ctx context.Context, r *request) (answer, error) {
	found, err := r.api.herder.Status(ctx, r.names[0])
	return with(ok, found), err
}

func tasks(ctx context.Context, r *request) (answer, error) {
	found, err := r.api.herder.Tasks(ctx, r.names[0])
	if found == nil {
		found = []herder.TaskInfo{}
	}
	return with(ok, found), err
}

// task is the task's number in the path.
func (r *request) task() (int, error) {
	n, err := strconv.ParseInt(r.names[1], 10, 32)
	if err != nil {
		return 0, statusError(http.StatusNotFound)
	}
	return int(n), nil
}

func taskStatus(ctx context.Context, r *request) (answer, error) {
	id, err := r.task()
	if err != nil {
		return answer{}, err
	}
	found, err := r.api.herder.TaskStatus(ctx, r.names[0], id)
	return with(ok, found), err
}

func restartTask(ctx context.Context, r *request) (answer, error) {
	id, err := r.task()
	if err != nil {
		return answer{}, err
	}
	return noContent, r.api.herder.RestartTask(ctx, r.names[0], id)
}

func restart(ctx context.Context, r *request) (answer, error) {
	tasks, failed := r.flag("includeTasks"), r.flag("onlyFailed")
	if !tasks && !failed {
		return noContent, r.api.herder.Restart(ctx, r.names[0])
	}
	found, err := r.api.herder.RestartWith(ctx, r.names[0], tasks, failed)
	return with(accepting, found), err
}

func pause(ctx context.Context, r *request) (answer, error) {
	return accepting, r.api.herder.Pause(ctx, r.names[0])
}

func resume(ctx context.Context, r *request) (answer, error) {
	return accepting, r.api.herder.Resume(ctx, r.names[0])
}

func stop(ctx context.Context, r *request) (answer, error) {
	return noContent, r.api.herder.Stop(ctx, r.names[0])
}

func remove(ctx context.Context, r *request) (answer, error) {
	return noContent, r.api.herder.Delete(ctx, r.names[0])
}

func topics(ctx context.Context, r *request) (answer, error) {
	found, err := r.api.herder.Topics(ctx, r.names[0])
	if found == nil {
		found = []string{}
	}
	return with(ok, map[string]map[string][]string{r.names[0]: {"topics": found}}), err
}

func resetTopics(ctx context.Context, r *request) (answer, error) {
	return accepting, r.api.herder.ResetTopics(ctx, r.names[0])
}

func offsets(ctx context.Context, r *request) (answer, error) {
	found, err := r.api.herder.Offsets(ctx, r.names[0])
	if found == nil {
		found = []herder.OffsetEntry{}
	}
	return with(ok, map[string][]herder.OffsetEntry{"offsets": found}), err
}

func alterOffsets(ctx context.Context, r *request) (answer, error) {
	entries, given, err := decode(r.body, (*decoder).offsets)
	switch {
	case err != nil:
		return answer{}, err
	case !given:
		return answer{}, errors.New(`the request has no body: expected {"offsets": [{"partition": {…}, "offset": {…}}]}`)
	case len(entries) == 0:
		return answer{}, &runtime.RequestError{
			Kind: runtime.BadRequest, Message: "Partitions / offsets need to be provided for an alter offsets request",
		}
	}
	text, err := r.api.herder.AlterOffsets(ctx, r.names[0], entries)
	return with(ok, map[string]string{"message": text}), err
}

func resetOffsets(ctx context.Context, r *request) (answer, error) {
	text, err := r.api.herder.ResetOffsets(ctx, r.names[0])
	return with(ok, map[string]string{"message": text}), err
}

const (
	headerSignature = "X-Connect-Authorization"
	headerAlgorithm = "X-Connect-Request-Signature-Algorithm"
)

// verify checks that another worker of the cluster has sent the body.
func (r *request) verify() error {
	return r.api.herder.Verify(r.body, r.Header.Get(headerSignature), r.Header.Get(headerAlgorithm))
}

func putTasks(ctx context.Context, r *request) (answer, error) {
	configs, given, err := decode(r.body, (*decoder).taskConfigs)
	if err != nil {
		return answer{}, err
	}
	if err := r.verify(); err != nil {
		return answer{}, err
	}
	if !given {
		return answer{}, errors.New("the request has no body: expected a list of task configurations")
	}
	return noContent, r.api.herder.PutTasks(ctx, r.names[0], configs)
}

func fence(ctx context.Context, r *request) (answer, error) {
	if err := r.verify(); err != nil {
		return answer{}, err
	}
	return noContent, r.api.herder.Fence(ctx, r.names[0])
}
