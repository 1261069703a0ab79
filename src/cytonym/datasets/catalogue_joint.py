"""The multi-omic sets of scMoAnno and DCCA, and the two that others measure themselves on."""

from __future__ import annotations

from cytonym.datasets import joint, multiome
from cytonym.datasets.record import DataSet, File

GEO = "https://ftp.ncbi.nlm.nih.gov/geo"
DCCA = "https://raw.githubusercontent.com/cmzuo11/DCCA/main"
TENX = "https://cf.10xgenomics.com/samples/cell-arc"
BOTH = ("rna", "atac")
NONE_STATED = "none stated with the files; cite the paper"
TYPES = "two columns with a header, tab or comma between them: cell, type"


def _scmoanno(name: str, called: str, organism: str, source: str) -> DataSet:
    """One of the four sets of the Zenodo record; how its archive is packed was not seen."""
    where = (
        f"Zenodo 15487954, the part of {called}; what the archive and its folders are called "
        "could not be verified"
    )
    layouts = ("AnnData, cells × features", "AnnData, cells × features", "a header, then types")
    files = zip(multiome.SCMOANNO, layouts, strict=True)
    return DataSet(
        name,
        f"{called}, as prepared for scMoAnno",
        organism,
        BOTH,
        None,
        None,
        f"{source}; prepared by the authors of scMoAnno, doi 10.5281/zenodo.15487954",
        "not verified: see the Zenodo record",
        tuple(File(file, None, where, layout) for file, layout in files),
        multiome.read_scmoanno,
        notes=(
            "features were chosen, and perhaps values transformed, by the authors: "
            "uns['values'] says what the files hold",
        ),
    )


def _geo(file: str, layout: str, series: str = "", sample: str = "") -> File:
    kind, accession = ("series", series) if series else ("samples", sample)
    url = f"{GEO}/{kind}/{accession[:-3]}nnn/{accession}/suppl/{file}"
    return File(file, url, f"GEO {accession}", layout)


PBMC10K = "pbmc_granulocyte_sorted_10k_filtered_feature_bc_matrix.h5"
PBMC3K = "pbmc_unsorted_3k_filtered_feature_bc_matrix.h5"
PBMC3K_TYPES = "pbmc_3k_cell_cluster_2874.txt"
HDF5 = "10x HDF5 of Cell Ranger ARC: Gene Expression and Peaks"

JOINT = (
    _scmoanno("scmoanno-10x", "10x Multiome", "human", "10x Genomics"),
    _scmoanno("scmoanno-issaac", "ISSAAC-seq", "mouse", "Xu et al. (2022), Nature Methods 19:1243"),
    _scmoanno("scmoanno-share", "SHARE-seq", "mouse", "Ma et al. (2020), Cell 183:1103"),
    _scmoanno("scmoanno-bmmc", "Multiome-BMMC", "human", "Luecken et al. (2021), NeurIPS"),
    DataSet(
        "neurips-bmmc",
        "NeurIPS 2021 multiome: bone marrow of ten donors at four sites",
        "human",
        BOTH,
        69_249,
        22,
        "Luecken et al. (2021), NeurIPS Datasets and Benchmarks",
        NONE_STATED,
        (
            _geo(
                multiome.NEURIPS,
                "gzip of an AnnData: 13,431 genes (GEX) and 116,490 peaks (ATAC) in "
                "var['feature_types'], layers['counts'], obs['cell_type'], ['batch'], ['DonorID']",
                series="GSE194122",
            ),
        ),
        multiome.read_neurips,
        genome="hg38",
    ),
    DataSet(
        "share-skin",
        "SHARE-seq: mouse skin, late anagen",
        "mouse",
        BOTH,
        34_774,
        23,
        "Ma et al. (2020), Cell 183:1103-1116, doi 10.1016/j.cell.2020.09.056",
        NONE_STATED,
        (
            _geo(
                joint.SHARE["rna"],
                "tab-separated: gene × 42,948 barcodes (commas in them)",
                sample="GSM4156608",
            ),
            _geo(
                joint.SHARE["atac"],
                "Matrix Market: 344,592 peaks × 34,774 cells",
                sample="GSM4156597",
            ),
            _geo(joint.SHARE["peaks"], "BED: chromosome, start, end", sample="GSM4156597"),
            _geo(joint.SHARE["barcodes"], "one barcode a line", sample="GSM4156597"),
            _geo(
                joint.SHARE["types"],
                "tab-separated: atac.bc, rna.bc, celltype; dots in the barcodes",
                sample="GSM4156597",
            ),
        ),
        joint.read_share_skin,
        genome="mm10",
        notes=("the type Mix is kept, as DCCA counts 23 types",),
    ),
    DataSet(
        "pbmc-multiome-10k",
        "10x Multiome: blood cells (PBMC), granulocytes removed, 10k",
        "human",
        BOTH,
        None,
        None,
        "10x Genomics, Cell Ranger ARC 2.0.0",
        "CC BY 4.0 (10x Genomics)",
        (
            File(
                PBMC10K,
                f"{TENX}/2.0.0/pbmc_granulocyte_sorted_10k/{PBMC10K}",
                "10x Genomics, PBMC from a Healthy Donor, Granulocytes Removed (10k)",
                HDF5,
            ),
            File(
                multiome.LABELS,
                None,
                "your own: the file of 10x has no types",
                TYPES,
                also=("labels.csv",),
                optional=True,
            ),
        ),
        multiome.tenx_reader(PBMC10K),
        genome="hg38",
        notes=("without labels.tsv all cells are read and there is no obs['cell_type']",),
    ),
    DataSet(
        "pbmc-multiome-3k",
        "10x Multiome: blood cells (PBMC), unsorted, 3k, with the types of DCCA",
        "human",
        BOTH,
        2_874,
        14,
        "10x Genomics; types of Zuo et al. (2021), Bioinformatics 37:4091",
        "CC BY 4.0 (10x Genomics); the table of types has none stated",
        (
            File(
                PBMC3K,
                f"{TENX}/1.0.0/pbmc_unsorted_3k/{PBMC3K}",
                "10x Genomics, PBMC from a Healthy Donor, No Cell Sorting (3k)",
                HDF5,
            ),
            File(
                PBMC3K_TYPES,
                f"{DCCA}/Utilities/{PBMC3K_TYPES}",
                "GitHub, cmzuo11/DCCA, folder Utilities",
                "tab-separated: Cell, Cluster; 2,874 lines",
            ),
        ),
        multiome.tenx_reader(PBMC3K, PBMC3K_TYPES),
        genome="hg38",
        notes=(
            "DCCA does not say which of the two PBMC 3k sets it used: its 2,874 cells are more "
            "than the sorted one has, so this is the unsorted one",
        ),
    ),
    DataSet(
        "snare-celllines",
        "SNARE-seq: mixture of the cell lines BJ, H1, K562 and GM12878",
        "human",
        BOTH,
        1_047,
        4,
        "Chen et al. (2019), Nature Biotechnology 37:1452-1457, doi 10.1038/s41587-019-0290-0",
        NONE_STATED,
        (
            _geo(joint.SNARE_LINES["rna"], "tab-separated: genes × barcodes", series="GSE126074"),
            _geo(joint.SNARE_LINES["atac"], "tab-separated: peaks × barcodes", series="GSE126074"),
            File(
                joint.SNARE_LINES["types"],
                f"{DCCA}/Example_test/{joint.SNARE_LINES['types']}",
                "GitHub, cmzuo11/DCCA, folder Example_test",
                "tab-separated: cell, cell_line",
            ),
        ),
        joint.read_snare_lines,
        genome="hg38",
    ),
    DataSet(
        "snare-cortex",
        "SNARE-seq: adult mouse cortex",
        "mouse",
        BOTH,
        None,
        None,
        "Chen et al. (2019), Nature Biotechnology 37:1452-1457, doi 10.1038/s41587-019-0290-0",
        NONE_STATED,
        (
            *(
                _geo(f"{joint.SNARE_CORTEX}_{part}.{end}.gz", layout, series="GSE126074")
                for part, end, layout in (
                    ("cDNA", "counts.mtx", "Matrix Market: genes × barcodes"),
                    ("cDNA", "barcodes.tsv", "one barcode a line"),
                    ("cDNA", "genes.tsv", "one gene a line"),
                    ("chromatin", "counts.mtx", "Matrix Market: peaks × barcodes"),
                    ("chromatin", "barcodes.tsv", "one barcode a line"),
                    ("chromatin", "peaks.tsv", "one peak a line (chr1:100-600)"),
                )
            ),
            File(
                multiome.LABELS,
                None,
                "the supplement of the paper, as a table of your own",
                TYPES,
                also=("labels.csv",),
                optional=True,
            ),
        ),
        joint.read_snare_cortex,
        genome="mm10",
        notes=("GEO has no types; batches are the libraries in front of the barcodes",),
    ),
    DataSet(
        "scnmt-gastrulation",
        "scNMT-seq: mouse gastrulation, RNA and promoter methylation",
        "mouse",
        ("rna", "methylation"),
        None,
        None,
        "Argelaguet et al. (2019), Nature 576:487-491, doi 10.1038/s41586-019-1825-8",
        NONE_STATED,
        (
            File(
                joint.SCNMT["rna"],
                None,
                "GEO GSE121650 (of the series GSE121708)",
                "tab-separated: ensembl_id × cells",
            ),
            File(
                joint.SCNMT["methylation"],
                None,
                "the authors' archive scnmt_gastrulation.tar.gz, folder met/feature_level",
                "tab-separated without header: cell (id_met), promoter, kind, methylated reads, "
                "all reads, percent",
            ),
            File(
                joint.SCNMT["cells"],
                None,
                "the same archive, or GitHub, rargelaguet/scnmt_gastrulation",
                "tab-separated: sample, id_met, embryo, stage, lineage10x_2, pass_rnaQC, "
                "pass_metQC, ...",
                also=("sample_metadata.txt.gz", "GSE121650_sample_metadata.txt"),
            ),
        ),
        joint.read_scnmt,
        notes=(
            "DCCA used 559 cells with 1,000 genes and 1,000 loci that it chose itself, and does "
            "not deposit: its cells and loci are not these",
        ),
    ),
)
