package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/freshet-io/freshet/runtime"
	"github.com/freshet-io/freshet/runtime/herder"
	"github.com/freshet-io/freshet/runtime/loglevel"
)

func plugins(_ context.Context, r *request) (answer, error) {
	found := r.api.herder.Plugins(!r.query.Has("connectorsOnly") || r.flag("connectorsOnly"))
	if found == nil {
		found = []herder.Plugin{}
	}
	return with(ok, found), nil
}

func pluginConfig(_ context.Context, r *request) (answer, error) {
	version := "latest"
	if r.query.Has("version") {
		version = r.query.Get("version")
	}
	found, err := r.api.herder.PluginConfig(r.names[0], version)
	if found == nil {
		found = []herder.KeyInfo{}
	}
	return with(ok, found), err
}

func validate(ctx context.Context, r *request) (answer, error) {
	p, err := r.properties()
	if err != nil {
		return answer{}, err
	}
	plugin := r.names[0]
	if class := p["connector.class"]; class != nil && !strings.HasSuffix(shortName(*class), shortName(plugin)) {
		return answer{}, &runtime.RequestError{
			Kind: runtime.BadRequest, Message: fmt.Sprintf("Included connector type %s does not match request type %s", *class, plugin),
		}
	}
	found, err := r.api.herder.Validate(ctx, plugin, p)
	var bad *runtime.RequestError
	if errors.As(err, &bad) && bad.Kind == runtime.BadRequest {
		// The reference answers 500 with the class of what the validation failed of.
		err = &httpError{
			status:  http.StatusInternalServerError,
			message: "org.apache.kafka.connect.runtime.rest.errors.BadRequestException: " + bad.Message,
		}
	}
	return with(ok, found), err
}

func shortName(class string) string { return strings.TrimSuffix(class, "Connector") }

func loggers(_ context.Context, r *request) (answer, error) {
	return with(ok, r.api.options.Levels.All()), nil
}

func logger(_ context.Context, r *request) (answer, error) {
	found, there := r.api.options.Levels.Get(r.names[0])
	if !there {
		return answer{}, &runtime.RequestError{Kind: runtime.NotFound, Message: fmt.Sprintf("Logger %s not found.", r.names[0])}
	}
	return with(ok, found), nil
}

func setLogger(ctx context.Context, r *request) (answer, error) {
	body, given, err := decode(r.body, (*decoder).properties)
	if err != nil {
		return answer{}, err
	}
	name := body["level"]
	switch {
	case !given:
		return answer{}, errors.New(`the request has no body: expected {"level": "…"}`)
	case name == nil:
		return answer{}, &runtime.RequestError{Kind: runtime.BadRequest, Message: "Desired 'level' parameter was not specified in request."}
	case *name == "":
		return answer{}, errors.New("Illegal null or empty Level name.") //nolint:staticcheck // the reference's text
	}
	level, there := loglevel.Parse(*name)
	if !there {
		return answer{}, &runtime.RequestError{Kind: runtime.NotFound, Message: fmt.Sprintf("invalid log level '%s'.", *name)}
	}
	if strings.EqualFold(r.query.Get("scope"), "cluster") {
		return noContent, r.api.herder.SetLogLevel(ctx, r.names[0], loglevel.Name(level))
	}
	changed, err := r.api.options.Levels.Set(r.names[0], level)
	return with(ok, changed), err
}
