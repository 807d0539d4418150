package module

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddytls"

	"click-deploy.org/proxy/route"
)

func TestARouteIsReadBackAsItWasWritten(t *testing.T) {
	wanted := route.Route{Service: "svc_back", Name: "tea & \"toast\"", State: route.Live, Message: "ü\n", Deployment: "dep_1", Instances: []route.Replica{{ID: "back-1", Address: "[::1]:80"}}}
	change := setRoute(t, "back.test", wanted)
	if change.Replaced != nil || change.RemovedInstances == nil || change.Generation == 0 {
		t.Errorf("%+v", change)
	}
	found := adminOK[route.Route](t, http.MethodGet, "/routes/BACK.test", nil)
	if !reflect.DeepEqual(found, wanted) {
		t.Errorf("%+v", found)
	}
	gone := adminOK[routeChange](t, http.MethodDelete, "/routes/back.test", nil)
	if !reflect.DeepEqual(*gone.Replaced, wanted) || !reflect.DeepEqual(gone.RemovedInstances, []string{"back-1"}) {
		t.Errorf("%+v", gone)
	}
	if status, _ := admin(t, http.MethodDelete, "/routes/back.test", nil); status != http.StatusOK {
		t.Error("absence is not success")
	}
}

func TestBadRequestsAreRefusedWithACode(t *testing.T) {
	good := `{"service":"svc_x","name":"x","state":"live","message":"","deployment":"d","instances":[]}`
	for _, bad := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"GET", "/nothing", "", 404, "unknown-endpoint"},
		{"GET", "/routes/nobody.test", "", 404, "unknown-host"},
		{"GET", "/routes/bad%20host", "", 422, "bad-route"},
		{"POST", "/table", "", 405, "method-not-allowed"},
		{"PUT", "/table", "", 400, "bad-body"},
		{"PUT", "/table", "{}", 400, "bad-body"},
		{"PUT", "/table", `{"routes":null}`, 400, "bad-body"},
		{"PUT", "/table", `{"routes":{"a.test":` + good + `},"more":1}`, 400, "bad-body"},
		{"PUT", "/table", `{"routes":{"*.test":` + good + `}}`, 422, "bad-route"},
		{"PUT", "/routes/x.test", "nonsense", 400, "bad-body"},
		{"PUT", "/routes/x.test", good + good, 400, "bad-body"},
		{"PUT", "/routes/x.test", strings.Replace(good, "message", "massage", 1), 400, "bad-body"},
		{"PUT", "/routes/x.test", strings.Replace(good, "live", "asleep", 1), 422, "bad-route"},
		{"PUT", "/routes/x.test", strings.Replace(good, "[]", `[{"id":"a","address":"example.com:80"}]`, 1), 422, "bad-route"},
		{"PUT", "/routes/x.test", `{"service":"` + strings.Repeat("x", maximumRouteBody) + `"}`, 413, "body-too-large"},
		{"PUT", "/routes/x.test?expected_generation=1", good, 412, "stale-generation"},
		{"PUT", "/routes/x.test?expected_generation=x", good, 400, "bad-parameter"},
		{"DELETE", "/routes/x.test?expected_generation=1", "", 412, "stale-generation"},
		{"GET", "/instances/x/drained?timeout_ms=-1", "", 400, "bad-parameter"},
		{"GET", "/instances/x/drained?timeout_ms=9999999", "", 400, "bad-parameter"},
	} {
		setRoute(t, "generation.test", liveRoute("generation"))
		status, body := admin(t, bad.method, bad.path, bad.body)
		var found problem
		if err := json.Unmarshal(body, &found); err != nil || status != bad.status || found.Code != bad.code || found.Status != status || found.Detail == "" {
			t.Errorf("%s %s: %d %s", bad.method, bad.path, status, body)
		}
	}
}

func TestAnUnknownInstanceIsDrainedAtOnce(t *testing.T) {
	found := adminOK[drained](t, http.MethodGet, "/instances/nobody/drained", nil)
	if found.InFlight != 0 || found.WaitedMS > 1000 {
		t.Errorf("%+v", found)
	}
}

func TestTheAdminEndpointRefusesStrangersOrigins(t *testing.T) {
	for name, value := range map[string]string{"Origin": "http://evil.test", "Host": "evil.test"} {
		request, _ := http.NewRequest(http.MethodGet, "http://"+adminAddress+"/click-deploy/table", nil)
		if name == "Host" {
			request.Host = value
		} else {
			request.Header.Set(name, value)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		expect(t, name, response.StatusCode, http.StatusForbidden)
	}
}

func TestARestartServesWithoutTheControlPlane(t *testing.T) {
	setRoute(t, "restart.test", liveRoute("restart", backend(t, "restart-1", says("still here"))))
	before := adminOK[route.Snapshot](t, http.MethodGet, "/table", nil)
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := activeTable(); !errors.Is(err, errNotConfigured) {
		t.Error("the table outlived Caddy")
	}
	reload(t)
	_, body := call(t, http.MethodGet, "restart.test", "")
	expect(t, "answer", body, "still here")
	if after := adminOK[route.Snapshot](t, http.MethodGet, "/table", nil); !reflect.DeepEqual(before, after) {
		t.Errorf("%+v became %+v", before, after)
	}
}

func TestAWholeTableTakesThePlaceOfTheOld(t *testing.T) {
	before := adminOK[route.Snapshot](t, http.MethodGet, "/table", nil)
	defer adminOK[tableChange](t, http.MethodPut, "/table", map[string]any{"routes": before.Routes})
	setRoute(t, "whole.test", liveRoute("whole", route.Replica{ID: "whole-1", Address: "127.0.0.1:9"}))
	routes := map[string]any{"whole2.test": liveRoute("whole2", backend(t, "whole2-1", says("second")))}
	change := adminOK[tableChange](t, http.MethodPut, "/table", map[string]any{"routes": routes})
	if !strings.Contains(strings.Join(change.RemovedInstances, " "), "whole-1") {
		t.Errorf("%+v", change)
	}
	response, _ := call(t, http.MethodGet, "whole.test", "")
	expect(t, "the old", response.StatusCode, http.StatusNotFound)
	_, body := call(t, http.MethodGet, "whole2.test", "")
	expect(t, "the new", body, "second")
}

func TestCertificatesAreAllowedForHostsOfTheTableOnly(t *testing.T) {
	setRoute(t, "certificate.test", liveRoute("certificate"))
	table, err := activeTable()
	if err != nil {
		t.Fatal(err)
	}
	permission := Permission{table: table}
	if err := permission.CertificateAllowed(context.Background(), "Certificate.test"); err != nil {
		t.Error(err)
	}
	if err := permission.CertificateAllowed(context.Background(), "stranger.test"); !errors.Is(err, caddytls.ErrPermissionDenied) {
		t.Error(err)
	}
}

func TestACaddyfileForAStaticSiteIsStillUnderstood(t *testing.T) {
	adapter := caddyconfig.GetAdapter("caddyfile")
	adapted, _, err := adapter.Adapt([]byte(":8080 {\n\troot * /srv\n\tencode zstd gzip\n\theader X-A b\n\ttry_files {path} /index.html\n\tfile_server\n}\n"), nil)
	if err != nil || !strings.Contains(string(adapted), "file_server") {
		t.Errorf("%s, %v", adapted, err)
	}
}

func TestAMissingSettingIsSaidAtStart(t *testing.T) {
	for _, name := range []string{"CLICK_DEPLOY_PROXY_LISTEN", "CLICK_DEPLOY_PROXY_ADMIN", "CLICK_DEPLOY_PROXY_SNAPSHOT"} {
		value := os.Getenv(name)
		os.Unsetenv(name)
		err := caddy.Load(configuration, true)
		os.Setenv(name, value)
		if err == nil {
			t.Errorf("%s is missing and nobody noticed", name)
		} else if !strings.Contains(err.Error(), name) {
			t.Errorf("the error does not name %s: %v", name, err)
		}
	}
	reload(t)
	setRoute(t, "setting.test", liveRoute("setting"))
}
