package module

import (
	"io"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// ownPrefix begins the headers that only we and the control plane may set.
const ownPrefix = "Click-Deploy-"

// stripRequestHeaders takes out what a client must not tell an application: our own headers, and who and where the client is
// unless a trusted proxy says so. Applications behind CGI-like interfaces cannot tell '_' from '-', so neither do we.
func stripRequestHeaders(request *http.Request) {
	trusted, _ := caddyhttp.GetVar(request.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	for name := range request.Header {
		if hasPrefix(name, ownPrefix) || !trusted && saysWhoAsks(name) {
			delete(request.Header, name)
		}
	}
}

func saysWhoAsks(name string) bool {
	switch name[0] | 0x20 {
	case 'f':
		return strings.EqualFold(name, "Forwarded")
	case 'x':
		return hasPrefix(name, "X-Forwarded-") || hasPrefix(name, "X-Real-Ip") && len(name) == len("X-Real-Ip")
	}
	return false
}

// hasPrefix compares header names without regard to case, and takes '_' for '-'.
func hasPrefix(name, prefix string) bool {
	if len(name) < len(prefix) {
		return false
	}
	for index := range len(prefix) {
		character := name[index]
		if character == '_' {
			character = '-'
		}
		if lower(character) != lower(prefix[index]) {
			return false
		}
	}
	return true
}

func lower(character byte) byte {
	if character >= 'A' && character <= 'Z' {
		return character | 0x20
	}
	return character
}

// answerWriter watches an answer on its way to the client: it takes out our headers if the application set them, adds them if
// the request was a probe, and keeps the status and the size.
type answerWriter struct {
	caddyhttp.ResponseWriterWrapper
	attempt *attempt
	probe   bool
	status  int
	bytes   uint64
}

// WriteHeader sends the head of the answer, interim ones included.
func (w *answerWriter) WriteHeader(status int) {
	if w.status == 0 {
		header := w.Header()
		for name := range header {
			if hasPrefix(name, ownPrefix) {
				delete(header, name)
			}
		}
		if status >= http.StatusOK || status == http.StatusSwitchingProtocols {
			w.status = status
			w.identify(header)
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// identify tells a probe which instance answered.
func (w *answerWriter) identify(header http.Header) {
	if !w.probe || w.attempt.current == nil {
		return
	}
	header["Click-Deploy-Instance"] = []string{w.attempt.current.Instance.ID()}
	if deployment := w.attempt.current.Deployment; deployment != "" {
		header["Click-Deploy-Deployment"] = []string{deployment}
	}
}

// Write sends a part of the body.
func (w *answerWriter) Write(part []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	count, err := w.ResponseWriter.Write(part)
	w.bytes += uint64(max(count, 0))
	return count, err
}

// ReadFrom sends a body from a reader, by the short way if there is one.
func (w *answerWriter) ReadFrom(reader io.Reader) (int64, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	count, err := w.ResponseWriterWrapper.ReadFrom(reader)
	w.bytes += uint64(max(count, 0))
	return count, err
}

var (
	_ http.ResponseWriter = (*answerWriter)(nil)
	_ io.ReaderFrom       = (*answerWriter)(nil)
)
