"""A gRPC client in another language, made from proto/ alone, works with the cluster that KUBECONFIG names.

Its requests are what a user of the API would write after reading proto/traceplane/v1/pods.proto.
"""

import os
import unittest

import stubs  # noqa: F401  (makes the imports below possible)
import cluster
import grpc
from k8s.core import pod_pb2
from k8s.meta import v1_pb2 as meta
from traceplane.v1 import common_pb2 as api
from traceplane.v1 import pods_pb2, pods_pb2_grpc

NAMESPACE = "default"
# Every call ends; what takes longer has failed.
SECONDS = 30


def nginx(name):
    pod = pod_pb2.Pod()
    pod.metadata.name = name
    pod.spec.containers.add(name="nginx", image="nginx")
    return pod


class Pods(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.channel = cluster.channel(os.environ["KUBECONFIG"])
        cls.pods = pods_pb2_grpc.PodsStub(cls.channel)

    @classmethod
    def tearDownClass(cls):
        cls.channel.close()

    def create(self, pod):
        request = pods_pb2.CreatePodRequest(namespace=NAMESPACE, object=pod)
        created = self.pods.Create(request, timeout=SECONDS)
        self.addCleanup(self.delete_at_once, created.metadata.name)
        return created

    def delete_at_once(self, name):
        options = meta.DeleteOptions(gracePeriodSeconds=0)
        request = api.DeleteRequest(namespace=NAMESPACE, name=name, options=options)
        try:
            self.pods.Delete(request, timeout=SECONDS)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.NOT_FOUND:
                raise

    def watch(self, pod):
        """Every change of the pod after this version of it. Says what it saw last if no more come."""
        options = meta.ListOptions(
            fieldSelector=f"metadata.name={pod.metadata.name}", resourceVersion=pod.metadata.resourceVersion
        )
        try:
            for event in self.pods.Watch(api.WatchRequest(namespace=NAMESPACE, options=options), timeout=SECONDS):
                pod = event.object
                yield event
        except grpc.RpcError as error:
            self.fail(f"the watch ended with {error.code()}: {error.details()}; the pod was last seen as\n{pod.status}")

    def test_a_pod_that_is_created_is_watched_to_running(self):
        created = self.create(nginx("from-python"))
        self.assertTrue(created.metadata.uid)
        self.assertEqual(created.spec.restartPolicy, "Always", "defaults were filled in")

        phases, last = [created.status.phase], int(created.metadata.resourceVersion)
        for event in self.watch(created):
            pod, revision = event.object, int(event.object.metadata.resourceVersion)
            self.assertEqual(event.type, api.MODIFIED)
            self.assertGreater(revision, last, "changes come in the order of revisions")
            self.assertEqual(event.cause.revision, revision, "each change says where it came from")
            phases.append(pod.status.phase)
            last = revision
            if pod.status.phase == "Running":
                break
        self.assertEqual((phases[0], phases[-1]), ("Pending", "Running"))
        self.assertTrue(pod.spec.nodeName and pod.status.podIP)
        self.assertTrue(pod.status.containerStatuses[0].state.HasField("running"))

    def test_a_trace_that_the_client_began_goes_on_in_the_cluster(self):
        traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        request = pods_pb2.CreatePodRequest(namespace=NAMESPACE, object=nginx("traced-by-python"))
        created = self.pods.Create(request, timeout=SECONDS, metadata=[("traceparent", traceparent)])
        self.addCleanup(self.delete_at_once, "traced-by-python")
        event = next(self.watch(created))
        trace_id = traceparent.split("-")[1]
        self.assertIn(trace_id, event.cause.traceparent, "the scheduler's binding belongs to the same trace")

    def test_a_bad_name_is_refused_with_the_field(self):
        with self.assertRaises(grpc.RpcError) as refused:
            self.create(nginx("Not_A_Name"))
        self.assertEqual(refused.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
        self.assertIn("metadata.name", refused.exception.details())

    def test_what_is_not_there_is_not_found(self):
        with self.assertRaises(grpc.RpcError) as missing:
            self.pods.Get(api.GetRequest(namespace=NAMESPACE, name="nobody"), timeout=SECONDS)
        self.assertEqual(missing.exception.code(), grpc.StatusCode.NOT_FOUND)


if __name__ == "__main__":
    unittest.main()
