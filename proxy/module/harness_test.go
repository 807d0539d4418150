package module

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"click-deploy.org/proxy/route"
)

// One Caddy with the configuration that is shipped serves all tests; each test uses hosts of its own.
var (
	configuration []byte
	listenAddress string
	adminAddress  string
)

func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "click-deploy-proxy")
	if err != nil {
		panic(err)
	}
	listenAddress, adminAddress = freeAddress(), freeAddress()
	for name, value := range map[string]string{
		"CLICK_DEPLOY_PROXY_LISTEN": listenAddress, "CLICK_DEPLOY_PROXY_ADMIN": adminAddress,
		"CLICK_DEPLOY_PROXY_SNAPSHOT": filepath.Join(folder, "routes"), "HOME": folder, "XDG_DATA_HOME": folder, "XDG_CONFIG_HOME": folder,
	} {
		os.Setenv(name, value)
	}
	if configuration, err = os.ReadFile("../caddy.json"); err != nil {
		panic(err)
	}
	if err := caddy.Load(configuration, true); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = caddy.Stop()
	os.RemoveAll(folder)
	os.Exit(code)
}

func freeAddress() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// admin calls the admin endpoint and answers the status and the body.
func admin(t testing.TB, method, path string, body any) (int, []byte) {
	t.Helper()
	var content []byte
	switch body := body.(type) {
	case nil:
	case string:
		content = []byte(body)
	default:
		var err error
		if content, err = json.Marshal(body); err != nil {
			t.Fatal(err)
		}
	}
	request, err := http.NewRequest(method, "http://"+adminAddress+"/click-deploy"+path, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	// A reload replaces the admin endpoint and closes connections that were kept. All calls may be repeated.
	request.Header.Set("Idempotency-Key", "repeat")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, answer
}

// adminOK calls the admin endpoint and decodes its answer.
func adminOK[Answer any](t testing.TB, method, path string, body any) Answer {
	t.Helper()
	status, content := admin(t, method, path, body)
	if status != http.StatusOK {
		t.Fatalf("%s %s: %d %s", method, path, status, content)
	}
	var answer Answer
	if err := json.Unmarshal(content, &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

func setRoute(t testing.TB, host string, route route.Route) routeChange {
	t.Helper()
	return adminOK[routeChange](t, http.MethodPut, "/routes/"+host, route)
}

func liveRoute(name string, replicas ...route.Replica) route.Route {
	return route.Route{Service: "svc_" + name, Name: name, State: route.Live, Deployment: "dep_" + name, Instances: replicas}
}

func waitDrained(t testing.TB, id string) drained {
	t.Helper()
	return adminOK[drained](t, http.MethodGet, "/instances/"+id+"/drained?timeout_ms=10000", nil)
}

func instanceReport(t testing.TB, id string) route.InstanceReport {
	t.Helper()
	for _, report := range adminOK[[]route.InstanceReport](t, http.MethodGet, "/instances", nil) {
		if report.ID == id {
			return report
		}
	}
	t.Fatalf("instance %s is not known", id)
	return route.InstanceReport{}
}

// eventually waits for something that another goroutine is about to do.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for range 500 {
		if holds() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("never happened: %s", what)
}

// backend starts an application and answers it as a replica.
func backend(t testing.TB, id string, handler http.HandlerFunc) route.Replica {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return route.Replica{ID: id, Address: server.Listener.Addr().String()}
}

func says(text string) http.HandlerFunc {
	return func(writer http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(writer, text) }
}

// call sends a request for a host through the proxy. It may be used off the test's own goroutine.
func call(t testing.TB, method, host, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	nothing := &http.Response{Header: http.Header{}}
	request, err := http.NewRequestWithContext(context.Background(), method, "http://"+listenAddress+"/path", strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return nothing, ""
	}
	request.Host = host
	for index := 0; index < len(headers); index += 2 {
		request.Header[headers[index]] = []string{headers[index+1]}
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Error(err)
		return nothing, ""
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return response, string(content)
}

func reload(t testing.TB) {
	t.Helper()
	if err := caddy.Load(configuration, true); err != nil {
		t.Fatal(err)
	}
}

func expect[Value comparable](t testing.TB, what string, found, wanted Value) {
	t.Helper()
	if found != wanted {
		t.Errorf("%s is %v, not %v", what, fmt.Sprint(found), fmt.Sprint(wanted))
	}
}
