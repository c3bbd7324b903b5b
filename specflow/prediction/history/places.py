"""Large airports by the city they serve: what everybody knows and no conversation says."""

from __future__ import annotations

_CITIES = """
new york: JFK LGA EWR; newark: EWR; los angeles: LAX; chicago: ORD MDW; houston: IAH HOU; dallas: DFW DAL;
san francisco: SFO; seattle: SEA; boston: BOS; atlanta: ATL; denver: DEN; miami: MIA; phoenix: PHX;
las vegas: LAS; orlando: MCO; philadelphia: PHL; charlotte: CLT; minneapolis: MSP; detroit: DTW;
washington: IAD DCA; baltimore: BWI; san diego: SAN; tampa: TPA; portland: PDX; salt lake city: SLC;
st louis: STL; austin: AUS; nashville: BNA; san antonio: SAT; san jose: SJC; oakland: OAK; sacramento: SMF;
kansas city: MCI; columbus: CMH; indianapolis: IND; cleveland: CLE; pittsburgh: PIT; cincinnati: CVG;
fort lauderdale: FLL; honolulu: HNL; anchorage: ANC; fort worth: DFW; jacksonville: JAX; raleigh: RDU;
new orleans: MSY; milwaukee: MKE; memphis: MEM; toronto: YYZ; vancouver: YVR; montreal: YUL; calgary: YYC;
mexico city: MEX; cancun: CUN; london: LHR LGW; paris: CDG ORY; amsterdam: AMS; frankfurt: FRA; munich: MUC;
berlin: BER; hamburg: HAM; madrid: MAD; barcelona: BCN; rome: FCO; milan: MXP; zurich: ZRH; geneva: GVA;
vienna: VIE; brussels: BRU; copenhagen: CPH; oslo: OSL; stockholm: ARN; helsinki: HEL; dublin: DUB;
lisbon: LIS; porto: OPO; athens: ATH; istanbul: IST; prague: PRG; warsaw: WAW; budapest: BUD; dubai: DXB;
abu dhabi: AUH; doha: DOH; tel aviv: TLV; cairo: CAI; johannesburg: JNB; cape town: CPT; nairobi: NBO;
tokyo: HND NRT; osaka: KIX; seoul: ICN; beijing: PEK; shanghai: PVG; hong kong: HKG; taipei: TPE;
singapore: SIN; bangkok: BKK; kuala lumpur: KUL; jakarta: CGK; manila: MNL; delhi: DEL; new delhi: DEL;
mumbai: BOM; bangalore: BLR; sydney: SYD; melbourne: MEL; brisbane: BNE; auckland: AKL;
sao paulo: GRU; são paulo: GRU; rio de janeiro: GIG; buenos aires: EZE; santiago: SCL; lima: LIM; bogota: BOG
"""
_CODES: dict[str, tuple[str, ...]] = {
    city.strip(): tuple(codes.split())
    for city, codes in (entry.split(":") for entry in " ".join(_CITIES.split()).split(";"))
}
_CODES.update({code.lower(): (code,) for codes in tuple(_CODES.values()) for code in codes})

_BEGIN = frozenset(name.split()[0] for name in _CODES)


def codes_of(name: str) -> tuple[str, ...]:
    """The airports of a city (lower-case), the usual one first; of a code, the code; nothing if unknown."""
    return _CODES.get(name, ())


def begins_place(word: str) -> bool:
    """Whether a name or a code of a place begins with that word (lower-case)."""
    return word in _BEGIN
