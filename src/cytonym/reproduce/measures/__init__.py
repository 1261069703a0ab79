"""What is measured on a case: names, clusters, salient genes, completion, generation, networks."""
