"""The seven RNA sets of SCTrans (the same as scBERT's), in their original files."""

from __future__ import annotations

from cytonym.datasets import pancreas, tissues
from cytonym.datasets.record import DataSet, File

GEO = "https://ftp.ncbi.nlm.nih.gov/geo/series"
MANUAL = "https://s3.amazonaws.com/scrnaseq-public-datasets/manual-data"
EBI = "https://www.ebi.ac.uk/arrayexpress/files/E-MTAB-5061"
NONE_STATED = "none stated with the files; cite the paper"

RNA = (
    DataSet(
        "zheng68k",
        "Zheng68K: fresh blood cells (PBMC) of donor A, 10x 3' v1",
        "human",
        ("rna",),
        68_579,
        11,
        "Zheng et al. (2017), Nature Communications 8:14049, doi 10.1038/ncomms14049",
        "CC BY 4.0 (10x Genomics)",
        (
            File(
                tissues.ZHENG,
                "https://cf.10xgenomics.com/samples/cell-exp/1.1.0/fresh_68k_pbmc_donor_a/"
                + tissues.ZHENG,
                "10x Genomics, data set Fresh 68k PBMCs (Donor A), gene / cell matrix (filtered)",
                "tar.gz of filtered_matrices_mex/hg19: matrix.mtx, genes.tsv, barcodes.tsv",
                # Three public repositories independent of each other give this sum.
                "3f35f37ff344bc9b32f97cd003ac986ebb9b5d7f31006c53dff4cb38da267931",
            ),
            File(
                tissues.ZHENG_TYPES,
                "https://raw.githubusercontent.com/10XGenomics/single-cell-3prime-paper/master/"
                f"pbmc68k_analysis/{tissues.ZHENG_TYPES}",
                "GitHub, 10XGenomics/single-cell-3prime-paper, folder pbmc68k_analysis",
                "tab-separated: TSNE.1, TSNE.2, barcodes, celltype; a line for each cell",
            ),
        ),
        tissues.read_zheng68k,
        notes=(
            "SCTrans and scBERT count 68,450 cells: those with 200 genes or more",
            "labels were given by correlation with sorted cells; other files of this name have "
            "65,943 (Abdelaal) or 64,846 (scVelo) cells",
        ),
    ),
    DataSet(
        "baron",
        "Baron: human pancreatic islets of four donors, inDrop",
        "human",
        ("rna",),
        8_569,
        14,
        "Baron et al. (2016), Cell Systems 3:346-360, doi 10.1016/j.cels.2016.08.011",
        NONE_STATED,
        (
            File(
                pancreas.BARON,
                f"{GEO}/GSE84nnn/GSE84133/suppl/{pancreas.BARON}",
                "GEO GSE84133",
                "tar of GSM*_human1..4_umifm_counts.csv.gz (and two of mouse, which are not "
                "read): cells × (name, barcode, assigned_cluster, genes)",
            ),
        ),
        pancreas.read_baron,
    ),
    DataSet(
        "muraro",
        "Muraro: human pancreas of four donors, CEL-Seq2",
        "human",
        ("rna",),
        2_122,
        9,
        "Muraro et al. (2016), Cell Systems 3:385-394, doi 10.1016/j.cels.2016.09.002",
        NONE_STATED,
        (
            File(
                pancreas.MURARO,
                f"{GEO}/GSE85nnn/GSE85241/suppl/{pancreas.MURARO}",
                "GEO GSE85241",
                "tab-separated in spite of its name: genes (NAME__chrN) × wells (D28-1_1)",
            ),
            File(
                pancreas.MURARO_TYPES,
                f"{MANUAL}/muraro/{pancreas.MURARO_TYPES}",
                "the authors gave it to the Hemberg group (scRNA.seq.datasets, human pancreas)",
                "tab-separated as R writes it: well (D28.1_1) and type",
            ),
        ),
        pancreas.read_muraro,
        notes=(
            "values are transcript counts corrected for saturation, with fractions",
            "duct and pp are called ductal and gamma, as in Baron; 4 cells are 'unclear' and "
            "left out, as are wells without a type",
        ),
    ),
    DataSet(
        "xin",
        "Xin: human islet cells of 18 donors, SMARTer",
        "human",
        ("rna",),
        1_492,
        4,
        "Xin et al. (2016), Cell Metabolism 24:608-615, doi 10.1016/j.cmet.2016.08.018",
        NONE_STATED,
        (
            File(
                pancreas.XIN,
                f"{GEO}/GSE81nnn/GSE81608/suppl/{pancreas.XIN}",
                "GEO GSE81608",
                "tab-separated: gene.id (Entrez) × Sample_1 to Sample_1600, RPKM",
            ),
            File(
                pancreas.XIN_CELLS,
                f"{MANUAL}/xin/{pancreas.XIN_CELLS}",
                "the Hemberg group (scRNA.seq.datasets, human pancreas)",
                "tab-separated: Sample 1 ..., donor.id, condition, cell.type",
            ),
            File(
                pancreas.XIN_GENES,
                f"{MANUAL}/xin/{pancreas.XIN_GENES}",
                "the Hemberg group (scRNA.seq.datasets, human pancreas)",
                "comma-separated: gene.id, symbol",
            ),
        ),
        pancreas.read_xin,
        notes=(
            "values are RPKM: there are no counts",
            "108 of 1,600 cells are 'contaminated' and left out; SCTrans counts 1,449 cells, "
            "those that Abdelaal et al. (2019) kept after quality control; PP is called gamma",
        ),
    ),
    DataSet(
        "segerstolpe",
        "Segerstolpe: human pancreatic islets of ten donors, Smart-seq2",
        "human",
        ("rna",),
        2_207,
        13,
        "Segerstolpe et al. (2016), Cell Metabolism 24:593-607, doi 10.1016/j.cmet.2016.08.020",
        NONE_STATED,
        (
            File(
                pancreas.SEGERSTOLPE,
                f"{EBI}/{pancreas.SEGERSTOLPE}",
                "ArrayExpress E-MTAB-5061, processed data",
                "zip of pancreas_refseq_rpkms_counts_3514sc.txt: #samples and 3,514 names; then "
                "lines of symbol, RefSeq, 3,514 RPKM, 3,514 counts",
            ),
            File(
                pancreas.SEGERSTOLPE_CELLS,
                f"{EBI}/{pancreas.SEGERSTOLPE_CELLS}",
                "ArrayExpress E-MTAB-5061, sample table",
                "tab-separated: Source Name, Characteristics[cell type], Characteristics[single "
                "cell well quality], ...",
            ),
        ),
        pancreas.read_segerstolpe,
        notes=(
            "spike-ins (ERCC) and the reporter eGFP are left out of the genes",
            "wells that are not OK and 2 unclassified cells are left out; SCTrans counts 2,133 "
            "cells, those that Abdelaal et al. (2019) kept after quality control",
        ),
    ),
    DataSet(
        "macparland",
        "MacParland: human liver of five donors, 10x 3' v2",
        "human",
        ("rna",),
        8_444,
        20,
        "MacParland et al. (2018), Nature Communications 9:4383, doi 10.1038/s41467-018-06318-7",
        NONE_STATED,
        (
            File(
                tissues.MACPARLAND,
                f"{GEO}/GSE115nnn/GSE115469/suppl/{tissues.MACPARLAND}",
                "GEO GSE115469",
                "comma-separated: genes × cells",
            ),
            File(
                tissues.MACPARLAND_TYPES,
                f"{GEO}/GSE115nnn/GSE115469/suppl/{tissues.MACPARLAND_TYPES}",
                "GEO GSE115469",
                "tab-separated: CellName, Sample, CellBarcode, Cluster#, CellType",
            ),
        ),
        tissues.read_macparland,
        notes=(
            "public texts disagree on whether the values are counts: uns['values'] says what "
            "the file holds",
            "the file has 20 names of clusters; SCTrans counts 13 types and does not say which "
            "were joined; obs['coarse_type'] joins those that differ in a number alone (14)",
        ),
    ),
    DataSet(
        "lung",
        "Lung: nuclei of human lung of twelve donors, 10x 3' v2",
        "human",
        ("rna",),
        39_778,
        9,
        "Lukassen et al. (2020), EMBO Journal 39:e105114, doi 10.15252/embj.20105114",
        NONE_STATED,
        (
            File(
                tissues.LUNG,
                "https://figshare.com/ndownloader/files/21999237",
                "figshare 10.6084/m9.figshare.11981034 (version 1), or Mendeley Data 7r2cwbw44m",
                "comma-separated: genes × nuclei",
            ),
            File(
                tissues.LUNG_CELLS,
                "https://figshare.com/ndownloader/files/21999240",
                "figshare 10.6084/m9.figshare.11981034 (version 1), or Mendeley Data 7r2cwbw44m",
                "comma-separated: nucleus, ID (donor), Sex, Smoking, Cell.type, ...",
                also=("Metadata_lung_cells_update.csv",),
            ),
        ),
        tissues.read_lung,
    ),
)
