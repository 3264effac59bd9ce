"""What may not be set in kubeadm's documents, with the reasons, and the names of the fields of two of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from halab.config.leader_roles import LEASED_ROLES

# The static pods that kubeadm makes on a control plane.
STATIC_PODS = ("etcd", "kube-apiserver", *(role.lease for role in LEASED_ROLES))

# The phases of kubeadm on the first level, in their order.
ADDONS = "addon"
COREDNS, KUBE_PROXY = f"{ADDONS}/coredns", f"{ADDONS}/kube-proxy"
INIT_PHASES = (
    "preflight",
    "certs",
    "kubeconfig",
    "etcd",
    "control-plane",
    "kubelet-start",
    "wait-control-plane",
    "upload-config",
    "upload-certs",
    "mark-control-plane",
    "bootstrap-token",
    "kubelet-finalize",
    ADDONS,
    "show-join-command",
)
JOIN_PHASES = (
    "preflight",
    "control-plane-prepare",
    "check-etcd",
    "kubelet-start",
    "etcd-join",
    "kubelet-wait-bootstrap",
    "control-plane-join",
    "wait-control-plane",
)

_PATCHES = "write the folder as `kubeadm: {patches: DIR}`"
_IMAGES = "machines pull no images, and have only the images of the bundle"
_ADDRESS = "it is the machine's address on the lab's network"
_NODE_NAME = "a node has the host name of its machine: write `machines: {cp2: {hostname: …}}`"
_TOKENS = "halab makes tokens, keys and addresses for every join"
_DRY_RUN = "kubeadm would create nothing"
_LEADER = "halab reads from the lease which machine leads"
_ETCD = "halab, kubeadm and the API servers expect each member at its usual address and in /var/lib/etcd"

# Path below `kubeadm` → why the lab needs halab's value. A name after `extraArgs` is the name of a flag.
REFUSED: Mapping[tuple[str, ...], str] = {
    ("cluster", "kubernetesVersion"): "write `kubernetes: {version: …}`",
    ("cluster", "controlPlaneEndpoint"): "it is the load balancer; for its name, write `endpoint: …`",
    ("cluster", "certificatesDir"): "halab reads certificates in /etc/kubernetes/pki",
    ("cluster", "imageRepository"): _IMAGES,
    ("cluster", "dns", "imageRepository"): _IMAGES,
    ("cluster", "dns", "imageTag"): "write `kubernetes: {coredns: …}`",
    ("cluster", "networking", "serviceSubnet"): "write `kubernetes: {services: …}`",
    (
        "cluster",
        "networking",
        "podSubnet",
    ): "write `kubernetes: {pods: …}`",
    ("cluster", "etcd", "external"): "write `etcd: {topology: external}` beside `kubeadm`",
    ("cluster", "etcd", "local", "imageRepository"): _IMAGES,
    ("cluster", "etcd", "local", "imageTag"): _IMAGES,
    ("cluster", "etcd", "local", "dataDir"): _ETCD,
    **{
        ("cluster", "etcd", "local", "extraArgs", flag): _ETCD
        for flag in (
            "name",
            "data-dir",
            "listen-client-urls",
            "advertise-client-urls",
            "listen-peer-urls",
            "initial-advertise-peer-urls",
            "initial-cluster",
            "initial-cluster-state",
        )
    },
    ("cluster", "apiServer", "extraArgs", "advertise-address"): _ADDRESS,
    ("cluster", "apiServer", "extraArgs", "secure-port"): "the load balancer and halab expect port 6443",
    (
        "cluster",
        "apiServer",
        "extraArgs",
        "etcd-servers",
    ): "an API server asks the member on its machine or, with `etcd: {topology: external}`, all members",
    (
        "cluster",
        "apiServer",
        "extraArgs",
        "service-cluster-ip-range",
    ): "write `kubernetes: {services: …}`",
    **{
        ("cluster", component, "extraArgs", flag): reason
        for component in ("controllerManager", "scheduler")
        for flag, reason in (
            ("leader-elect", _LEADER),
            ("leader-elect-resource-name", _LEADER),
            ("leader-elect-resource-namespace", _LEADER),
            ("secure-port", "halab asks there whether the component leads"),
        )
    },
    ("init", "bootstrapTokens"): _TOKENS,
    ("init", "certificateKey"): _TOKENS,
    ("init", "localAPIEndpoint"): _ADDRESS,
    ("join", "discovery"): _TOKENS,
    ("join", "controlPlane"): _TOKENS,
    **{
        (document, *path): reason
        for document in ("init", "join")
        for path, reason in (
            (("dryRun",), _DRY_RUN),
            (("patches",), _PATCHES),
            (("nodeRegistration", "name"), _NODE_NAME),
            (("nodeRegistration", "criSocket"), "it is the socket of the machine's containerd"),
            (("nodeRegistration", "kubeletExtraArgs", "node-ip"), _ADDRESS),
            (("nodeRegistration", "kubeletExtraArgs", "hostname-override"), _NODE_NAME),
        )
    },
    ("kubelet", "cgroupDriver"): "it must be the cgroup driver of the machine's containerd",
    ("kubelet", "containerRuntimeEndpoint"): "it is the socket of the machine's containerd",
    ("kubelet", "staticPodPath"): "kubeadm and halab write manifests to /etc/kubernetes/manifests",
    ("kubelet", "rotateCertificates"): "kubeadm sets it to true, whatever is written here",
}


@dataclass(frozen=True)
class FreeDocument:
    """A document whose fields kubeadm checks. `fields` are the names of its first level, of all supported versions."""

    identity: Mapping[str, str]
    fields: frozenset[str]


FREE_DOCUMENTS: Mapping[str, FreeDocument] = {
    "kubelet": FreeDocument(
        {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration"},
        frozenset(
            """
            address allowedUnsafeSysctls authentication authorization cgroupRoot cgroupsPerQOS clusterDNS
            clusterDomain configMapAndSecretChangeDetectionStrategy containerLogMaxFiles containerLogMaxSize
            containerLogMaxWorkers containerLogMonitorInterval contentType cpuCFSQuota cpuCFSQuotaPeriod
            cpuManagerPolicy cpuManagerPolicyOptions cpuManagerReconcilePeriod crashLoopBackOff defaultPodSysctls
            enableContentionProfiling enableControllerAttachDetach enableDebugFlagsHandler enableDebuggingHandlers
            enableProfilingHandler enableServer enableSystemLogHandler enableSystemLogQuery enforceNodeAllocatable
            eventBurst eventRecordQPS evictionHard evictionMaxPodGracePeriod evictionMinimumReclaim
            evictionPressureTransitionPeriod evictionSoft evictionSoftGracePeriod failCgroupV1 failSwapOn featureGates
            fileCheckFrequency hairpinMode healthzBindAddress healthzPort httpCheckFrequency
            imageGCHighThresholdPercent imageGCLowThresholdPercent imageMaximumGCAge imageMinimumGCAge
            imagePullCredentialsVerificationPolicy imageServiceEndpoint iptablesDropBit iptablesMasqueradeBit
            kernelMemcgNotification kubeAPIBurst kubeAPIQPS kubeReserved kubeReservedCgroup kubeletCgroups
            localStorageCapacityIsolation logging makeIPTablesUtilChains maxOpenFiles maxParallelImagePulls maxPods
            memoryManagerPolicy memoryReservationPolicy memorySwap memoryThrottlingFactor mergeDefaultEvictionSettings
            nodeLeaseDurationSeconds nodeStatusMaxImages nodeStatusReportFrequency nodeStatusUpdateFrequency
            oomScoreAdj podCIDR podLogsDir podPidsLimit podsPerCore port preloadedImagesVerificationAllowlist
            protectKernelDefaults providerID qosReserved readOnlyPort registerNode registerWithTaints registryBurst
            registryPullQPS reservedMemory reservedSystemCPUs resolvConf runOnce runtimeRequestTimeout seccompDefault
            serializeImagePulls serverTLSBootstrap showHiddenMetricsForVersion shutdownGracePeriod
            shutdownGracePeriodByPodPriority shutdownGracePeriodCriticalPods singleProcessOOMKill staticPodURL
            staticPodURLHeader streamingConnectionIdleTimeout syncFrequency systemCgroups systemReserved
            systemReservedCgroup tlsCertFile tlsCipherSuites tlsCurvePreferences tlsMinVersion tlsPrivateKeyFile
            topologyManagerPolicy topologyManagerPolicyOptions topologyManagerScope tracing userNamespaces
            volumePluginDir volumeStatsAggPeriod
            """.split()  # noqa: SIM905 (a list would have a line for each name)
        ),
    ),
    "kube_proxy": FreeDocument(
        {"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration"},
        frozenset(
            """
            bindAddress bindAddressHardFail clientConnection clusterCIDR configSyncPeriod conntrack detectLocal
            detectLocalMode enableProfiling featureGates healthzBindAddress hostnameOverride iptables ipvs logging
            metricsBindAddress mode nftables nodePortAddresses oomScoreAdj portRange showHiddenMetricsForVersion
            windowsRunAsService winkernel
            """.split()  # noqa: SIM905 (a list would have a line for each name)
        ),
    ),
}
