package module

import (
	"encoding/json"
	"errors"
	"net/http"

	"click-deploy.org/proxy/route"
)

// problem is an error of the admin endpoint as its caller sees it, after RFC 9457. It is also an error.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
}

func (p problem) Error() string { return p.Detail }

func newProblem(status int, code, detail string) problem {
	return problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Code: code}
}

// asProblem is the one place that turns errors into problems.
func asProblem(err error) problem {
	var known problem
	var invalid *route.InvalidError
	var persist *route.PersistError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, errNotConfigured):
		return newProblem(http.StatusServiceUnavailable, "not-configured", err.Error())
	case errors.Is(err, route.ErrStale):
		return newProblem(http.StatusPreconditionFailed, "stale-generation", err.Error())
	case errors.As(err, &invalid):
		return newProblem(http.StatusUnprocessableEntity, "bad-route", invalid.Error()+": "+invalid.Cause.Error())
	case errors.As(err, &persist):
		return newProblem(http.StatusInsufficientStorage, "snapshot-failed", persist.Error()+": "+persist.Cause.Error())
	case errors.As(err, &tooLarge):
		return newProblem(http.StatusRequestEntityTooLarge, "body-too-large", "the body is larger than is allowed here")
	default:
		return newProblem(http.StatusBadRequest, "bad-body", err.Error())
	}
}

func (p problem) write(writer http.ResponseWriter) error {
	writer.Header().Set("Content-Type", "application/problem+json")
	writer.Header().Set("Cache-Control", "no-store")
	writer.WriteHeader(p.Status)
	return json.NewEncoder(writer).Encode(p)
}
