package schemas

import (
	"bytes"
	"encoding/json"
	"path"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

// manifest is what is in deploy/kubernetes.yaml.
type manifest struct {
	space      corev1.Namespace
	config     corev1.ConfigMap
	secret     corev1.Secret
	deployment appsv1.Deployment
	budget     policyv1.PodDisruptionBudget
	service    corev1.Service
	network    networkingv1.NetworkPolicy
}

func parseManifest(t *testing.T) (m manifest) {
	t.Helper()
	parts := map[string]any{
		"v1 Namespace": &m.space, "v1 ConfigMap": &m.config, "v1 Secret": &m.secret, "apps/v1 Deployment": &m.deployment,
		"policy/v1 PodDisruptionBudget": &m.budget, "v1 Service": &m.service, "networking.k8s.io/v1 NetworkPolicy": &m.network,
	}
	for doc := range bytes.SplitSeq(read(t, "deploy/kubernetes.yaml"), []byte("\n---\n")) {
		var head metav1.PartialObjectMetadata
		if err := yaml.Unmarshal(doc, &head); err != nil {
			t.Fatal(err)
		}
		kind := head.APIVersion + " " + head.Kind
		if err := yaml.UnmarshalStrict(doc, parts[kind], func(d *json.Decoder) *json.Decoder { d.DisallowUnknownFields(); return d }); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if kind != "v1 Namespace" && head.Namespace != m.space.Name || head.Name != "pve-mcp" {
			t.Errorf("%s: %s in %s", kind, head.Name, head.Namespace)
		}
		delete(parts, kind)
	}
	for kind := range parts {
		t.Errorf("there is no %s", kind)
	}
	return m
}

func TestKubernetes(t *testing.T) {
	m := parseManifest(t)
	pod := m.deployment.Spec.Template
	server := pod.Spec.Containers[0]

	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	level := api.Level(m.space.Labels[api.EnforceLevelLabel])
	if level != api.LevelRestricted {
		t.Errorf("the namespace enforces %q", level)
	}
	verdict := policy.AggregateCheckResults(evaluator.EvaluatePod(api.LevelVersion{Level: level, Version: api.LatestVersion()}, &pod.ObjectMeta, &pod.Spec))
	if !verdict.Allowed {
		t.Errorf("the pod is not allowed there: %s: %s", verdict.ForbiddenReason(), verdict.ForbiddenDetail())
	}
	if only := server.SecurityContext.ReadOnlyRootFilesystem; only == nil || !*only {
		t.Error("the root can be written to")
	}
	if links := pod.Spec.EnableServiceLinks; links == nil || *links {
		t.Error("Kubernetes adds variables PVE_MCP_*")
	}
	if account := pod.Spec.AutomountServiceAccountToken; account == nil || *account {
		t.Error("the pod has a token of Kubernetes")
	}
	if n := *m.deployment.Spec.Replicas; n != 3 || m.budget.Spec.MinAvailable.IntVal != n-1 {
		t.Errorf("%d replicas, of which %v stay", n, m.budget.Spec.MinAvailable)
	}
	for name, selector := range map[string]map[string]string{
		"deployment": m.deployment.Spec.Selector.MatchLabels, "budget": m.budget.Spec.Selector.MatchLabels,
		"service": m.service.Spec.Selector, "network policy": m.network.Spec.PodSelector.MatchLabels,
		"spread": pod.Spec.TopologySpreadConstraints[0].LabelSelector.MatchLabels,
	} {
		if diff := cmp.Diff(pod.Labels, selector); diff != "" {
			t.Errorf("%s (-pods +selected):\n%s", name, diff)
		}
	}
	asked, most := server.Resources.Requests, server.Resources.Limits.Memory()
	if asked.Cpu().Sign() <= 0 || asked.Memory().Sign() <= 0 || most.Cmp(*asked.Memory()) < 0 {
		t.Errorf("resources %v", server.Resources)
	}
}

// What the parts of the manifest say of each other, and of the server.
func TestKubernetesAgrees(t *testing.T) {
	m := parseManifest(t)
	pod := m.deployment.Spec.Template.Spec
	server := pod.Containers[0]
	cfg := load(t, m.config.Data)
	if !cfg.HTTP.SessionsOff {
		t.Error("a Service does not route by session")
	}
	ports := map[string]int32{}
	for _, p := range server.Ports {
		ports[p.Name] = p.ContainerPort
	}
	if diff := cmp.Diff(map[string]int32{"http": int32(port(t, cfg.HTTP.Listen)), "metrics": int32(port(t, cfg.HTTP.Metrics))}, ports); diff != "" {
		t.Errorf("ports (-settings +container):\n%s", diff)
	}
	used := []intstr.IntOrString{server.LivenessProbe.HTTPGet.Port, server.ReadinessProbe.HTTPGet.Port, m.service.Spec.Ports[0].TargetPort}
	for _, rule := range m.network.Spec.Ingress {
		used = append(used, *rule.Ports[0].Port)
	}
	for _, p := range used {
		if ports[p.StrVal] == 0 {
			t.Errorf("there is no port %s", p.String())
		}
	}
	if live, ready := server.LivenessProbe.HTTPGet.Path, server.ReadinessProbe.HTTPGet.Path; live != "/healthz" || ready != "/readyz" {
		t.Errorf("probes ask %s and %s", live, ready)
	}
	if diff := cmp.Diff([]string{"http"}, server.Args); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if env := server.EnvFrom[0].ConfigMapRef; env == nil || env.Name != m.config.Name {
		t.Errorf("settings come from %v", server.EnvFrom)
	}
	volume, mount := pod.Volumes[0], server.VolumeMounts[0]
	if volume.Name != mount.Name || volume.Secret == nil || volume.Secret.SecretName != m.secret.Name || !mount.ReadOnly {
		t.Errorf("the secret is not mounted: %v %v", volume, mount)
	}
	for _, file := range []string{m.config.Data["PVE_TOKEN_SECRET_FILE"], m.config.Data["PVE_MCP_HTTP_TOKENS"]} {
		value, there := m.secret.StringData[path.Base(file)]
		if path.Dir(file) != mount.MountPath || !there || value != "" {
			t.Errorf("%s is not an empty key of the secret", file)
		}
	}
	grace := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second
	if needed := time.Duration(server.Lifecycle.PreStop.Sleep.Seconds)*time.Second + cfg.HTTP.Drain + stopTime; grace <= needed {
		t.Errorf("the end comes after %v, and may take %v", grace, needed)
	}
	if server.ReadinessProbe.TimeoutSeconds <= 5 {
		t.Error("PVE has 5 s to answer /readyz")
	}
}
